//! How far a pull is, from the steps that the daemon tells. Pure.

use std::collections::BTreeMap;
use std::fmt;

use bollard::models::CreateImageInfo;

/// The layers that are fetched; those that were there are left out.
#[derive(Debug, Default)]
pub struct Progress {
    layers: BTreeMap<String, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    fetched: u64,
    /// Zero until it is told.
    size: u64,
    is_ready: bool,
}

impl Progress {
    /// Takes one step; says whether it is the first that tells of something to be fetched.
    pub fn note(&mut self, step: &CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (step.id.as_ref(), step.status.as_deref()) else { return false };
        let is_first = !self.has_begun();
        let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let detail = step.progress_detail.as_ref();
        match status {
            "Pulling fs layer" | "Waiting" => {
                self.layers.entry(id.clone()).or_default();
            }
            "Downloading" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.fetched = detail.and_then(|detail| count(detail.current)).unwrap_or(layer.fetched);
                layer.size = detail.and_then(|detail| count(detail.total)).unwrap_or(layer.size);
            }
            // A small one is told of only when it is unpacked.
            "Extracting" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.size = detail.and_then(|detail| count(detail.total)).unwrap_or(layer.size);
                layer.fetched = layer.size;
            }
            "Download complete" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.fetched = layer.fetched.max(layer.size);
            }
            "Pull complete" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.fetched = layer.fetched.max(layer.size);
                layer.is_ready = true;
            }
            "Already exists" => {
                self.layers.remove(id);
            }
            _ => {}
        }
        is_first && self.has_begun()
    }

    /// Whether there is anything to fetch.
    pub fn has_begun(&self) -> bool {
        !self.layers.is_empty()
    }

    /// What was fetched so far.
    pub fn bytes(&self) -> u64 {
        self.layers.values().map(|layer| layer.fetched).sum()
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
        let size = self.layers.values().map(|layer| layer.size).sum();
        let ready = self.layers.values().filter(|layer| layer.is_ready).count();
        match self.has_begun() {
            // The whole size is known once each layer was begun.
            true if self.layers.values().all(|layer| layer.size > 0) => {
                write!(f, "{} of {} MB, ", mb(self.bytes()), mb(size))?;
            }
            true => write!(f, "{} MB, ", mb(self.bytes()))?,
            false => return f.write_str("the registry has not answered yet"),
        }
        write!(f, "{ready} of {} layers", self.layers.len())
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn step(id: &str, status: &str, detail: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: detail
                .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..Default::default()
        }
    }

    #[test]
    fn a_pull_is_told_layer_by_layer() {
        let mut progress = Progress::default();
        assert_eq!(progress.to_string(), "the registry has not answered yet");
        for (step, is_first, expected) in [
            (step("latest", "Pulling from me/a", None), false, "the registry has not answered yet"),
            (step("0", "Already exists", None), false, "the registry has not answered yet"),
            (step("a", "Pulling fs layer", None), true, "0.0 MB, 0 of 1 layers"),
            (step("b", "Waiting", None), false, "0.0 MB, 0 of 2 layers"),
            (step("a", "Downloading", Some((1_250_000, 4_000_000))), false, "1.2 MB, 0 of 2 layers"),
            (step("b", "Downloading", Some((10, 2_000_000))), false, "1.2 of 6.0 MB, 0 of 2 layers"),
            (step("a", "Download complete", None), false, "4.0 of 6.0 MB, 0 of 2 layers"),
            (step("a", "Extracting", Some((100, 4_000_000))), false, "4.0 of 6.0 MB, 0 of 2 layers"),
            (step("a", "Pull complete", None), false, "4.0 of 6.0 MB, 1 of 2 layers"),
            (step("b", "Pull complete", None), false, "6.0 of 6.0 MB, 2 of 2 layers"),
        ] {
            assert_eq!(progress.note(&step), is_first, "{step:?}");
            assert_eq!(progress.to_string(), expected, "{step:?}");
        }
        assert_eq!(progress.bytes(), 6_000_000);
    }

    #[test]
    fn what_is_up_to_date_has_nothing_to_tell() {
        let mut progress = Progress::default();
        for status in ["Digest: sha256:00", "Status: Image is up to date for me/a:latest"] {
            let step = CreateImageInfo { status: Some(status.to_owned()), ..Default::default() };
            assert!(!progress.note(&step));
        }
        assert!(!progress.has_begun());
    }
}
