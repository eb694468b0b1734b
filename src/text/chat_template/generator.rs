//! Python generators for templates: what `map`, `select` and their kin return in Jinja2.
//!
//! A generator is always true, can be walked once, has no length and is no list: `json.dumps` refuses it. minijinja
//! returns lists instead, so templates would render here that fail (or print something else) in Python.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, State, filters};

/// The values not yet taken.
#[derive(Debug)]
pub(super) struct Generator(Mutex<Option<Vec<Value>>>);

impl Generator {
    fn over(values: &Value) -> Result<Value, Error> {
        let values = values.try_iter()?.collect();
        Ok(Value::from_object(Self(Mutex::new(Some(values)))))
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Enumerator::Iter(Box::new(values.unwrap_or_default().into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// Replaces the filters that are generators in Jinja2.
pub(super) fn install(environment: &mut Environment<'_>) {
    wrap(environment, "map", Value::from_function(filters::map));
    wrap(environment, "select", Value::from_function(filters::select));
    wrap(environment, "reject", Value::from_function(filters::reject));
    wrap(environment, "selectattr", Value::from_function(filters::selectattr));
    wrap(environment, "rejectattr", Value::from_function(filters::rejectattr));
    wrap(environment, "unique", Value::from_function(filters::unique));
    wrap(environment, "batch", Value::from_function(filters::batch));
    wrap(environment, "slice", Value::from_function(filters::slice));
}

fn wrap(environment: &mut Environment<'_>, name: &'static str, filter: Value) {
    environment.add_filter(name, move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
        let arguments: Vec<Value> = arguments.iter().map(|argument| (**argument).clone()).collect();
        let values = filter.call(state, &arguments)?;
        Generator::over(&values)
    });
}
