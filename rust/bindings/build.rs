//! Tells the crate which Python it is built for, so that it can leave out what a version does not have.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
