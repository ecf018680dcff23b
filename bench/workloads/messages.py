"""Messages of an ordinary size and shape, the same in every run."""

import random
from typing import Any

KINDS = ("order", "refund", "invoice")


def orders(count: int, kinds: tuple[str, ...] = ("order",)) -> list[dict[str, Any]]:
    """Five fields, about 90 bytes of msgpack; `kind` is drawn from `kinds`."""
    generator = random.Random(20_260_101)
    return [
        {
            "kind": kinds[generator.randrange(len(kinds))],
            "id": number,
            "customer": f"customer-{generator.randrange(10_000):05d}",
            "amount": generator.randrange(100_000) / 100,
            "tags": ["new", "web", "eu-west"],
        }
        for number in range(count)
    ]


def of_size(size: int) -> dict[str, Any]:
    """A message whose msgpack takes about `size` bytes: records of texts, numbers and flags."""
    generator = random.Random(size)
    records: list[dict[str, Any]] = []
    message: dict[str, Any] = {"id": 4_711, "kind": "order", "source": "/queue/orders.in", "ok": True}
    used = 53
    while used + 60 < size:
        records.append(
            {
                "sku": f"sku-{generator.randrange(10**8):08d}",
                "price": generator.randrange(100_000) / 100,
                "count": generator.randrange(100),
                "gift": generator.random() < 0.5,
                "note": "as usual",
            }
        )
        used += 60
    if records:
        message["records"] = records
    message["pad"] = "x" * max(0, size - used - 5)
    return message
