//! What a kernel keeps a command from, as plain data.

/// Which walls this kernel can put up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Walls {
    /// Around files: only what is declared can be opened.
    pub files: bool,
    /// Against TCP connections, in and out.
    pub tcp: bool,
    /// Against signals to processes outside.
    pub signals: bool,
}

impl Walls {
    /// What a command is not kept from.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        let all = [(self.files, "undeclared files"), (self.tcp, "TCP connections"), (self.signals, "signals")];
        all.into_iter().filter(|(there, _)| !there).map(|(_, what)| what).collect()
    }
}
