//! What is wrong with the fields of a row, and the way to a field.

use std::fmt;

/// The way from the row to a field; costs nothing until somebody prints it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'p> {
    /// The row itself.
    Root,
    /// A key of an object.
    Field(&'p Path<'p>, &'p str),
    /// An item of a list.
    Item(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    /// The way to a key.
    pub fn field(&'p self, name: &'p str) -> Self {
        Self::Field(self, name)
    }

    /// The way to an item.
    pub fn item(&'p self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Path::Root, name) => formatter.write_str(name),
            Self::Field(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Item(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// One thing that is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The byte of the line where the field is.
    pub offset: usize,
    /// The stable code counted in statistics.
    pub code: &'static str,
    /// The way to the field, such as `trajectory[0].action.tool`.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
}

/// All that is wrong with a row, and what is odd without being wrong.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// What is wrong.
    pub list: Vec<Problem>,
    /// Fields that nobody knows.
    pub ignored_fields: u64,
    /// Tools whose arguments are not described.
    pub open_schemas: u64,
}

impl Problems {
    /// Notes a problem.
    pub fn push(&mut self, offset: usize, code: &'static str, path: &Path<'_>, message: impl Into<String>) {
        self.list.push(Problem { offset, code, path: path.to_string(), message: message.into() });
    }
}
