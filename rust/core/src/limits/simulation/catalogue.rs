//! The published scenarios, by name, at any scale of their capacities.

use super::best::{of_usl, phases};
use super::further::FURTHER;
use super::maker::{NEVER, ScenarioMaker, phase, served};
use super::scenario::{Load, MS, SECOND, Scenario, ServerModel, Service, Steps};

/// Scales at which each scenario is run: at one alone a lucky fixed limit would win.
pub const SCALES: [f64; 3] = [0.2, 1.0, 5.0];

/// Names of the scenarios, in the order of tables.
pub const SCENARIOS: [&str; 17] = [
    "steady",
    "cap_step",
    "knee",
    "usl",
    "jitter",
    "flaky",
    "reject",
    "noisy_neighbour",
    "warmup",
    "app_limited",
    "flapping",
    "bimodal",
    "cold_start",
    "outage",
    "baseline_x3",
    "batch",
    "two_routes",
];

/// Return a scenario; None if there is none of this name.
#[must_use]
pub fn scenario(name: &str, scale: f64) -> Option<Scenario> {
    let name = SCENARIOS
        .into_iter()
        .chain(FURTHER)
        .find(|known| *known == name)?;
    let maker = ScenarioMaker { name, scale };
    maker
        .with_workers()
        .or_else(|| maker.with_other_servers())
        .or_else(|| maker.further())
}

impl ScenarioMaker {
    fn with_workers(&self) -> Option<Scenario> {
        Some(match self.name {
            "steady" => self.queueing(60, 100, self.constant(20), served(50)),
            "cap_step" => self.queueing(
                90,
                100,
                self.steps(&[(0, 40), (30, 10), (60, 40)]),
                served(50),
            ),
            "jitter" => {
                let service = Service::LogNormal {
                    mean_ns: 50e6,
                    sigma: 0.7,
                };
                self.queueing(60, 200, self.constant(20), service)
            }
            "noisy_neighbour" => {
                let capacity: Vec<_> = (0..5)
                    .flat_map(|round| [(20 * round, 40), (20 * round + 15, 10)])
                    .collect();
                self.queueing(100, 100, self.steps(&capacity), served(50))
            }
            "warmup" => {
                let service = Service::Warming {
                    warm_ns: 50 * MS,
                    cold_ns: 450 * MS,
                    constant_ns: 5 * SECOND,
                };
                self.queueing(60, 600, self.constant(20), service)
            }
            "app_limited" => Scenario {
                load: Load::PoissonUntil {
                    rate: 100.0 * self.scale,
                    until_ns: 60 * SECOND,
                },
                ..self.queueing(90, 100, self.constant(20), served(50))
            },
            "flapping" => {
                let capacity: Vec<_> = (0..30)
                    .map(|turn| (2 * turn, if turn % 2 == 0 { 20 } else { 10 }))
                    .collect();
                self.queueing(60, 100, self.steps(&capacity), served(50))
            }
            "bimodal" => {
                let service = Service::Bimodal {
                    fast_ns: 10 * MS,
                    slow_ns: 500 * MS,
                    slow_share: 0.1,
                };
                self.queueing(60, 800, self.constant(20), service)
            }
            "cold_start" => self.queueing(30, 40, self.constant(150), served(20)),
            "baseline_x3" => {
                let service = Steps(vec![
                    (0, 20 * MS),
                    (30 * SECOND, 60 * MS),
                    (60 * SECOND, 20 * MS),
                ]);
                self.queueing(90, 120, self.constant(20), Service::Steps(service))
            }
            "two_routes" => Scenario {
                joins: vec![0, 30 * SECOND],
                oracle: vec![phase(0, self.of(20)), phase(30 * SECOND, self.of(10))],
                ..self.queueing(120, 100, Steps::constant(2 * self.of(10)), served(50))
            },
            _ => return None,
        })
    }

    fn with_other_servers(&self) -> Option<Scenario> {
        Some(match self.name {
            "knee" => {
                let knee = self.of(16);
                let server = ServerModel::Knee {
                    base_ns: 50 * MS,
                    knee,
                };
                self.made(60, 100, server, vec![phase(0, knee)])
            }
            "usl" => {
                let (alpha, beta) = (0.03 / self.scale, 0.0005 / (self.scale * self.scale));
                let server = ServerModel::Usl {
                    base_ns: 50 * MS,
                    alpha,
                    beta,
                };
                self.made(60, 150, server, vec![phase(0, of_usl(alpha, beta))])
            }
            "flaky" => {
                let workers = self.constant(20);
                let oracle = phases(&workers);
                let server = ServerModel::Workers {
                    workers,
                    service: served(50),
                    failing: 0.05,
                    outage: NEVER,
                };
                self.made(60, 100, server, oracle)
            }
            "reject" => {
                let server = ServerModel::Refusing {
                    latency_ns: 100 * MS,
                    room: self.of(25),
                };
                self.made(60, 200, server, phases(&self.constant(25)))
            }
            "outage" => {
                let outage = (20 * SECOND, 35 * SECOND);
                let workers = self.constant(20);
                let oracle = vec![
                    phase(0, self.of(20)),
                    phase(outage.0, 1),
                    phase(outage.1, self.of(20)),
                ];
                let server = ServerModel::Workers {
                    workers,
                    service: served(50),
                    failing: 0.0,
                    outage,
                };
                Scenario {
                    timeout_ns: Some(SECOND),
                    ..self.made(80, 100, server, oracle)
                }
            }
            "batch" => {
                let server = ServerModel::Batch {
                    tick_ns: 100 * MS,
                    most: self.of(60),
                    service_ns: 10 * MS,
                };
                self.made(60, 250, server, phases(&self.constant(60)))
            }
            _ => return None,
        })
    }
}
