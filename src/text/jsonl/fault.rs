//! What can be wrong with a line before anybody looks at its fields.

use super::{MAX_DEPTH, MAX_LINE_BYTES};

/// A line that is no row, and where that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The byte of the line.
    pub offset: usize,
    /// What is wrong there.
    pub kind: FaultKind,
}

impl Fault {
    /// A boxed fault: the result of every parser function stays small.
    #[expect(clippy::unnecessary_box_returns, reason = "it is the error of small results")]
    pub fn new(offset: usize, kind: FaultKind) -> Box<Self> {
        Box::new(Self { offset, kind })
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FaultKind {
    /// JSON's grammar wants something else here.
    #[error("found {found}; expected {expected}")]
    Unexpected {
        /// A character in backticks, or the end of the line.
        found: String,
        /// What would go on.
        expected: &'static str,
    },
    /// A character below U+0020 inside a string.
    #[error("found the raw control character U+{0:04X} in a string; expected it escaped")]
    ControlCharacter(u8),
    /// A backslash before something that is no escape.
    #[error("escape is `{0}`; expected one of `\\\"`, `\\\\`, `\\/`, `\\b`, `\\f`, `\\n`, `\\r`, `\\t`, `\\uXXXX`")]
    BadEscape(String),
    /// Half of a surrogate pair, which is no character.
    #[error("escape is the lone surrogate `{0}`; expected a pair")]
    LoneSurrogate(String),
    /// An integer that would lose digits.
    #[error("integer is `{0}`; expected at most 64 bits")]
    IntegerTooLarge(String),
    /// A float that would become infinite.
    #[error("number is `{0}`; expected a finite 64-bit float")]
    FloatTooLarge(String),
    /// Deeper than anybody writes by hand.
    #[error("nesting goes deeper than {MAX_DEPTH} levels; expected at most `{MAX_DEPTH}`")]
    TooDeep,
    /// A key that occurs twice in an object.
    #[error("key `{0}` occurs twice in one object; expected each key once")]
    DuplicateKey(String),
    /// A `/*` whose `*/` is missing, or on a later line although a row is open.
    #[error("found `/*` without `*/`{}", if *.inside_row { " on the row's line; expected a row to lie on one line" } else { " up to the end of the file; expected the comment to end" })]
    UnclosedComment {
        /// Whether a row was open.
        inside_row: bool,
    },
    /// A line that is neither row nor comment nor blank.
    #[error("found {0}; expected a row beginning with `{{`, a comment or a blank line")]
    StrayText(String),
    /// Something behind the row on its line.
    #[error("found {0} behind the row; expected one row a line")]
    AfterRow(String),
    /// Bytes that are no text.
    #[error("found bytes that are not UTF-8; expected UTF-8 text")]
    InvalidUtf8,
    /// A line that is too long to be a row.
    #[error("line has {0} bytes; expected at most `{MAX_LINE_BYTES}`")]
    LineTooLong(u64),
}

impl FaultKind {
    /// The stable code counted in statistics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unexpected { .. } | Self::AfterRow(_) => "data::malformed_json",
            Self::ControlCharacter(_) => "data::control_character",
            Self::BadEscape(_) => "data::bad_escape",
            Self::LoneSurrogate(_) => "data::lone_surrogate",
            Self::IntegerTooLarge(_) | Self::FloatTooLarge(_) => "data::number_out_of_range",
            Self::TooDeep => "data::too_deep",
            Self::DuplicateKey(_) => "data::duplicate_key",
            Self::UnclosedComment { .. } => "data::unclosed_comment",
            Self::StrayText(_) => "data::stray_text",
            Self::InvalidUtf8 => "data::invalid_utf8",
            Self::LineTooLong(_) => "data::line_too_long",
        }
    }
}
