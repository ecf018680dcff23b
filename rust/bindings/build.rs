//! Build script that tells the crate its Python version, so that calls which a version lacks are left out.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
