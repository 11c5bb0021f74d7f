//! What it costs to find an invoker and book it, and to give the slot back: 2 µs with 10 invokers and 20 µs
//! with 1,000 are the budget, also where every one of them is full.

use std::collections::{BTreeMap, HashSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use common::clock::Millis;
use common::config::Config;
use common::entity::id::{ActivationId, ControllerId, InvokerId, TransactionId};
use common::entity::identity::{ALL_RIGHTS, AuthKey, Identity, Namespace};
use common::entity::limits::{ActionLimitRanges, ActionLimits, ByteSize};
use common::entity::name::{EntityName, Fqn};
use common::message::activation::ActivationMessage;
use common::message::ping::PingMessage;
use common::trace::Trace;
use controller::load_balancer::Order;
use controller::load_balancer::fleet::Fleet;
use controller::load_balancer::health::Outcome;
use controller::load_balancer::schedule::Partition;
use controller::metrics::FleetMetrics;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const MEMORY: u64 = 1024;

fn fleet(invokers: u32) -> Fleet {
    let metrics = FleetMetrics::register(&prometheus::Registry::new(), "0").expect("a fresh registry");
    let fleet = Fleet::new(&Config::default(), 1, metrics);
    for invoker in 0..invokers {
        let name = InvokerId::new(invoker, ByteSize::from_mb(MEMORY));
        fleet.ping(PingMessage { name, is_enabled: true }, Duration::ZERO);
        fleet.ended(invoker, Outcome::Success, Duration::ZERO);
    }
    fleet
}

fn order(number: usize, memory: u64, concurrency: u32) -> Order {
    let name = EntityName::parse("guest").expect("a name");
    let user = Identity {
        subject: "guest".into(),
        namespace: Namespace { name, uuid: "u".into() },
        authkey: AuthKey { uuid: "u".into(), key: String::new() },
        rights: ALL_RIGHTS.to_vec(),
        limits: Arc::default(),
    };
    let message = ActivationMessage {
        transid: TransactionId::system("sid_bench", Millis(1)),
        action: Fqn::parse(&format!("guest/package/action-{number}")).expect("a name"),
        revision: None,
        user,
        activation_id: ActivationId::generate(),
        root_controller_index: ControllerId::new("0"),
        blocking: true,
        content: None,
        init_args: Vec::new(),
        locked_args: BTreeMap::new(),
        cause: None,
        trace_context: None,
    };
    let limits = ActionLimits { memory, concurrency, ..ActionLimitRanges::UPSTREAM.standard() };
    Order { message, limits, partition: Partition::Managed, trace: Trace::default() }
}

fn book_and_free(fleet: &Fleet, order: &Order) {
    let booking = fleet.book(black_box(order), |count| count / 2).expect("there are healthy invokers");
    fleet.free(&booking);
}

/// Fills every invoker of the partition with another action. Where containers are shared, each is left one
/// place, for that action alone, so that no look into the groups is spared.
fn fill(fleet: &Fleet, invokers: u32, concurrency: u32) {
    let filler = order(1_000, MEMORY, concurrency);
    let mut seen = HashSet::new();
    let book = |_| fleet.book(&filler, |_| unreachable!("there is room")).expect("there is room");
    let bookings: Vec<_> = (0..invokers * 9 / 10 * concurrency).map(book).collect();
    for booking in bookings.iter().filter(|booking| concurrency > 1 && seen.insert(booking.invoker)) {
        fleet.free(booking);
    }
}

fn schedule(criterion: &mut Criterion) {
    for (case, concurrency) in [("home", 1), ("home, shared", 8), ("full", 1), ("full, shared", 8)] {
        let mut group = criterion.benchmark_group(case);
        for invokers in [10, 100, 1_000] {
            let fleet = fleet(invokers);
            let orders: Vec<Order> = (0..64).map(|number| order(number, 256, concurrency)).collect();
            if case.starts_with("full") {
                fill(&fleet, invokers, concurrency);
            }
            let mut number = 0;
            group.bench_function(BenchmarkId::from_parameter(invokers), |bencher| {
                bencher.iter(|| {
                    number = (number + 1) % orders.len();
                    book_and_free(&fleet, &orders[number]);
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, schedule);
criterion_main!(benches);
