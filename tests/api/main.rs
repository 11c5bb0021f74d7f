//! The REST API, case by case, from outside: every test carries the numbers of the cases it proves.
//!
//! The tests share one server without throttles and, where they count, one with them; each works in a
//! namespace of its own. Cases that need other settings start a server of their own.

mod actions_create;
mod actions_exec;
mod actions_limits;
mod actions_read;
mod actions_stored;
mod actions_update;
mod activations_list;
mod activations_record;
mod administration;
mod api_docs;
mod auth;
mod conductors;
mod conductors_limits;
mod cross_cutting;
mod invoke;
mod invoke_arguments;
mod invoke_errors;
mod limits;
mod lists;
mod names;
mod namespaces;
mod operators;
mod package_actions;
mod package_actions_shared;
mod packages;
mod packages_bindings;
mod packages_execute_only;
mod packages_list;
mod parameter_storage;
mod rules;
mod rules_concurrent;
mod rules_packages;
mod rules_update;
mod sequences;
mod sequences_definition;
mod sequences_packages;
mod settings;
mod sizes;
mod throttles;
mod transport;
mod triggers;
mod triggers_fire;
mod triggers_fire_limits;
mod web;
mod web_access;
mod web_answer;
mod web_packages;
mod web_request;
mod web_sequences;
