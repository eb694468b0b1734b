//! What of this machine decides how fast model work goes: the CPU's instruction sets, its threads, and memory.
//!
//! What the operating system does not tell is `None`, never a guess. Linux tells all of it; others tell less.

use std::fs;

use serde::Serialize;

/// A machine, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Architecture and operating system, such as `x86_64-linux`.
    pub platform: String,
    /// The instruction sets that matter, each with whether it can be used.
    pub instruction_sets: Vec<InstructionSet>,
    /// How many threads run at once, as the process is allowed.
    pub threads: Option<usize>,
    /// All memory, or the limit of the control group if that is less.
    pub memory_bytes: Option<u64>,
    /// What of the machine's memory can be had without swapping.
    pub available_bytes: Option<u64>,
}

/// An instruction set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstructionSet {
    /// Its name.
    pub name: &'static str,
    /// Whether it can be used; `None` where nobody tells.
    pub present: Option<bool>,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn look() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").ok();
        let field = |name: &str| memory.as_deref().and_then(|text| kibibytes(text, name));
        // The limit of this process's own group where groups are not nested, as in a container.
        let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
        Self {
            platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            instruction_sets: instruction_sets(),
            threads: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: field("MemTotal").into_iter().chain(limit).min(),
            available_bytes: field("MemAvailable"),
        }
    }
}

/// A field of `/proc/meminfo` in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<InstructionSet> {
    // Stable Rust can't ask for AMX; Linux lists it.
    let flags = fs::read_to_string("/proc/cpuinfo").ok();
    let flags = flags.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("flags")));
    let amx = flags.map(|flags| flags.split_whitespace().any(|flag| flag == "amx_tile"));
    let found = [
        ("avx2", Some(std::is_x86_feature_detected!("avx2"))),
        ("fma", Some(std::is_x86_feature_detected!("fma"))),
        ("avx512f", Some(std::is_x86_feature_detected!("avx512f"))),
        ("avx512_bf16", Some(std::is_x86_feature_detected!("avx512bf16"))),
        ("amx", amx),
    ];
    found.into_iter().map(|(name, present)| InstructionSet { name, present }).collect()
}

/// Elsewhere the kernels are chosen when the program is built.
#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<InstructionSet> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes_and_nonsense_is_nothing() {
        let text = "MemTotal:       16316412 kB\nMemAvailable:    8000 kB\nHugePages_Total:       0\n";
        assert_eq!(kibibytes(text, "MemTotal"), Some(16_316_412 * 1024));
        assert_eq!(kibibytes(text, "MemAvailable"), Some(8000 * 1024));
        for name in ["Mem", "HugePages_Total", "SwapTotal"] {
            assert_eq!(kibibytes(text, name), None, "{name}");
        }
        assert_eq!(kibibytes("MemTotal: 99999999999999999999 kB", "MemTotal"), None);
    }
}
