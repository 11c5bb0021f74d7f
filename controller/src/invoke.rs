//! What invoking each thing means. For now: an action that is neither sequence nor conductor.

pub mod primitive;
