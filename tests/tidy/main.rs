//! What the house rules say that a program can check: who may know whom, where foreign libraries live,
//! that every module says why it is there.

mod cases;
mod examples;
mod rules;
mod settings;
mod tree;
