//! Whether a process can do its work at present, and if not, why not: what `/ready` says.

use std::sync::Arc;

type Check = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Everything that must be in order. A check looks at what is known and waits for nothing.
#[derive(Clone, Default)]
pub struct Readiness(Vec<Check>);

impl Readiness {
    /// With one more check, which says what is wrong.
    pub fn and(mut self, check: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.0.push(Arc::new(check));
        self
    }

    /// All that is wrong; nothing if the process is ready.
    pub fn troubles(&self) -> Vec<String> {
        self.0.iter().filter_map(|check| check()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_in_trouble_says_so() {
        let readiness = Readiness::default().and(|| None).and(|| Some("kafka: away".to_owned()));
        assert_eq!(readiness.troubles(), ["kafka: away"]);
        assert!(Readiness::default().and(|| None).troubles().is_empty());
    }
}
