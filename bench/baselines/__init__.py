"""What our figures are compared with, each written as its own users would write it."""
