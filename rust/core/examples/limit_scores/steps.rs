//! Steps of a controller, counted: what one call costs, in time and in allocations. `tests/limit_steps.rs` uses this file too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use factflow_core::limits::{CallEnd, CallPermit, Controller};

const MS: u64 = 1_000_000;
/// Workers of the dependency, and the duration of their service.
const WORKERS: usize = 20;
const SERVICE_NS: u64 = 50 * MS;
/// Most calls in flight that a drive has room for.
const ROOM: usize = 256;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks it for.
pub struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call goes on to the system's allocator as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Return the allocations of this thread so far.
#[must_use]
pub fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Make so many calls of twenty workers, of which one in 97 fails, and for a while all.
///
/// The drive itself allocates nothing.
pub fn drive(controller: &mut Controller, calls: usize) {
    let mut running: [Option<(u64, CallPermit)>; ROOM] = [const { None }; ROOM];
    let mut free_ns = [0; WORKERS];
    let (mut now_ns, mut begun, mut ended) = (0, 0_usize, 0_usize);
    while ended < calls {
        while begun - ended < ROOM
            && let Some(permit) = controller.try_acquire(now_ns)
        {
            let worker = &mut free_ns[begun % WORKERS];
            *worker = now_ns.max(*worker) + SERVICE_NS;
            running[begun % ROOM] = Some((*worker, permit));
            begun += 1;
        }
        let Some((end_ns, permit)) = running[ended % ROOM].take() else {
            return;
        };
        now_ns = now_ns.max(end_ns);
        let fails = ended % 97 == 0 || (40_000..40_500).contains(&(ended % 100_000));
        controller.settle(
            permit,
            now_ns,
            if fails {
                CallEnd::Dropped
            } else {
                CallEnd::Answered
            },
        );
        ended += 1;
    }
}
