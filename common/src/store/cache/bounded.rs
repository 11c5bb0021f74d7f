//! A map that never holds more than it may: when it is full, what was not looked at lately goes.
//!
//! The second-chance clock: a hand walks the entries, spares those that were used since it last
//! came by, and replaces the first that was not. A look-up moves nothing, so hits stay short.

use std::collections::HashMap;
use std::sync::Arc;

struct Entry<V> {
    key: Arc<str>,
    value: V,
    used: bool,
}

/// At most so many values by name.
pub(super) struct Bounded<V> {
    max_entries: usize,
    places: HashMap<Arc<str>, usize>,
    entries: Vec<Entry<V>>,
    hand: usize,
}

impl<V: Clone> Bounded<V> {
    pub(super) fn new(max_entries: usize) -> Self {
        Self { max_entries, places: HashMap::new(), entries: Vec::new(), hand: 0 }
    }

    pub(super) fn get(&mut self, key: &str) -> Option<V> {
        let entry = &mut self.entries[*self.places.get(key)?];
        entry.used = true;
        Some(entry.value.clone())
    }

    pub(super) fn insert(&mut self, key: &str, value: V) {
        if let Some(place) = self.places.get(key) {
            self.entries[*place].value = value;
            return;
        }
        if self.max_entries == 0 {
            return;
        }
        if self.entries.len() >= self.max_entries {
            let place = self.least_used();
            self.remove_at(place);
        }
        let key: Arc<str> = key.into();
        self.places.insert(key.clone(), self.entries.len());
        self.entries.push(Entry { key, value, used: false });
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(place) = self.places.get(key) {
            self.remove_at(*place);
        }
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.entries.clear();
    }

    fn least_used(&mut self) -> usize {
        loop {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &mut self.entries[self.hand];
            if !std::mem::take(&mut entry.used) {
                return self.hand;
            }
        }
    }

    fn remove_at(&mut self, place: usize) {
        let gone = self.entries.swap_remove(place);
        self.places.remove(&gone.key);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.key.clone(), place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let mut map = Bounded::new(3);
        for key in ["a", "b", "c"] {
            map.insert(key, key.to_owned());
        }
        for number in 0..50 {
            assert!(map.get("a").is_some(), "after {number} others");
            map.insert(&number.to_string(), String::new());
            assert_eq!((map.entries.len(), map.places.len()), (3, 3));
        }
    }

    #[test]
    fn places_stay_right_when_entries_go() {
        let mut map = Bounded::new(10);
        for number in 0..8 {
            map.insert(&number.to_string(), number);
        }
        for number in [0, 7, 3] {
            map.remove(&number.to_string());
            map.remove(&number.to_string());
        }
        map.insert("1", 11);
        let left: Vec<_> = (0..8).map(|number: i32| map.get(&number.to_string())).collect();
        assert_eq!(left, [None, Some(11), Some(2), None, Some(4), Some(5), Some(6), None]);
        map.clear();
        assert_eq!(map.get("1"), None);
    }

    #[test]
    fn a_map_of_nothing_holds_nothing() {
        let mut map = Bounded::new(0);
        map.insert("a", 1);
        assert_eq!(map.get("a"), None);
    }
}
