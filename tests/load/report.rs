//! What both benchmarks say in the same way: which machine it was, and the middle of many figures.

/// The machine, in a few words.
pub fn machine() -> anyhow::Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{cpus} cores of {model}, Linux {}", kernel.trim().split('-').next().unwrap_or_default()))
}

/// The median.
pub fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
