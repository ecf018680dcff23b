//! A step of a limit allocates nothing, whichever algorithm it is.

#[path = "../examples/limit_scores/steps.rs"]
mod steps;

use std::collections::BTreeMap;

use factflow_core::limits::{Controller, LimitBounds, NAMES, Parameters, new_limit};

use steps::{allocations, drive};

#[test]
fn a_step_allocates_nothing() {
    for name in NAMES {
        let parameters = Parameters::new(name, BTreeMap::new(), None, 1);
        let limit = new_limit(name, parameters).expect("it can be made");
        let mut controller = Controller::new(limit, LimitBounds { min: 1, max: 200 }, false, 0);
        let before = allocations();
        drive(&mut controller, 120_000);
        let allocated = allocations() - before;
        assert_eq!(allocated, 0, "{name}");
        if name == "adaptive" {
            let decided = controller.history().changes().len();
            assert!(
                decided > 3,
                "{decided} reasons of changes: it was driven too little"
            );
        }
    }
}

#[test]
fn an_allocation_is_counted() {
    let before = allocations();
    let kept = std::hint::black_box(vec![1, 2, 3]);
    assert_eq!(allocations() - before, 1);
    drop(kept);
}
