//! What operators see and are told: every query of every dashboard and every alert, against a real Prometheus that reads
//! a loaded platform, and the page that lists all metrics.
//!
//! The platform is the distributed form with Docker, Kafka and PostgreSQL; one of its controllers serves metrics at an
//! address of their own.

mod boards;
mod documents;
mod exposition;
mod load;
mod rules;
mod world;

use tests::services::prometheus::INTERVAL;

use crate::boards::{Board, Query};
use crate::world::World;

/// What Grafana takes for `$__rate_interval` at the smallest step: four readings.
const RATE: u64 = 4 * INTERVAL;

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_platform_fills_every_panel_counts_right_and_alarms_nobody() {
    let world = World::start().await;
    let done = load::run(&world).await;
    load::is_counted(&world, &done).await;
    for board in Board::all() {
        every_panel_shows_something(&world, &board).await;
    }
    rules::nothing_is_wrong(&world).await;
    documents::every_metric_is_described(&world).await;
    world.stop().await;
}

async fn every_panel_shows_something(world: &World, board: &Board) {
    let (from, to) = world.span();
    let range = (to - from).ceil();
    let mut empty = Vec::new();
    for variable in &board.variables {
        let (metric, label) = variable.source();
        let found = world.prometheus.ask(&format!("label/{label}/values"), &[("match[]", &metric)]).await;
        if found.as_array().is_none_or(Vec::is_empty) {
            empty.push(format!("the variable {} of {}", variable.name, board.title));
        }
    }
    for Query { panel, expression, is_instant } in board.queries() {
        let expression = board.filled(&expression, RATE, range);
        let series = match is_instant {
            true => vec![world.prometheus.values(&expression).await],
            false => world.prometheus.ranges(&expression, from, to).await,
        };
        // Zero is something, what has no value is not.
        if !series.iter().flatten().any(|value| value.is_finite()) {
            empty.push(format!("{}, {panel}: {expression}", board.title));
        }
    }
    assert!(empty.is_empty(), "these show nothing:\n  {}", empty.join("\n  "));
}
