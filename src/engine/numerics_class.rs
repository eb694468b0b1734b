//! The numerics class: what of this machine can decide the last bits of a floating-point result.
//!
//! gemm picks its kernel by instruction set and blocks its k loop by cache size, and transcendental functions come
//! from libm, so bits may differ between CPU types. The class is recorded with each result of a float stage, never put
//! into a key: equality of bytes is promised within a class, closeness across classes.

use std::fs;

/// The class of this machine, for example `x86_64-linux-gnu avx2 fma avx512f l1d=32K l2=1024K l3=32768K`.
#[must_use]
pub fn detect() -> String {
    let mut parts = vec![format!("{}-{}-{}", std::env::consts::ARCH, std::env::consts::OS, libc_name())];
    parts.extend(instruction_sets().iter().map(ToString::to_string));
    parts.extend(cache_sizes());
    parts.join(" ")
}

const fn libc_name() -> &'static str {
    if cfg!(target_env = "gnu") {
        "gnu"
    } else if cfg!(target_env = "musl") {
        "musl"
    } else {
        "system"
    }
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<&'static str> {
    let found = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
    ];
    found.into_iter().filter_map(|(name, present)| present.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<&'static str> {
    Vec::new()
}

/// Data and unified caches of the first CPU, as Linux tells them; elsewhere none.
fn cache_sizes() -> Vec<String> {
    let read = |index: u32, name: &str| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    };
    (0..8)
        .filter_map(|index| {
            let (level, kind, size) = (read(index, "level")?, read(index, "type")?, read(index, "size")?);
            let suffix = if kind == "Data" { "d" } else { "" };
            (kind != "Instruction").then(|| format!("l{level}{suffix}={size}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_class_of_a_machine_does_not_change_between_calls() {
        assert_eq!(super::detect(), super::detect());
        assert!(super::detect().starts_with(std::env::consts::ARCH));
    }
}
