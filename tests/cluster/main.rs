//! Several controllers and invokers over a real Kafka and a real PostgreSQL, with Docker: who is who, who
//! does what, and what happens as they come and go.

mod backup;
mod doctor;
mod operators;
mod placement;
mod start_up;
mod transactions;
mod user_events;
mod world;
