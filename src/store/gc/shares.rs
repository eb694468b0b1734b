//! How much of the store each of several groups holds, and how much of that it shares with none of the others.

use std::collections::HashMap;

use crate::digest::{ActionKey, Digest};
use crate::store::error::StoreError;
use crate::store::gc::names::Names;
use crate::store::gc::reach::{Reach, Trust};
use crate::store::layout::{Class, Store};

/// What one group holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Share {
    /// How many blobs and records.
    pub things: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many of these no other group holds.
    pub alone_bytes: u64,
    /// How many bytes lie outside the store, referenced in place.
    pub referenced_bytes: u64,
}

/// What is in the store under one name.
#[derive(Default)]
struct Stock {
    things: u64,
    bytes: u64,
    referenced_bytes: u64,
    holders: u64,
}

impl Store {
    /// What each group of names holds with all that they lead to; and, as the last one, what none of them holds.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn shares(&self, groups: &[Vec<Digest>]) -> Result<(Vec<Share>, Share), StoreError> {
        let mut stocks = self.stocks()?;
        let mut held: Vec<Vec<Digest>> = Vec::new();
        for group in groups {
            let names = Names { digests: group.iter().copied().collect(), ..Names::default() };
            let found = Reach::new(self).follow(names, Trust::Lenient)?;
            for name in &found {
                stocks.entry(*name).or_default().holders += 1;
            }
            held.push(found);
        }
        let shares = held.iter().map(|names| {
            let stocks = names.iter().filter_map(|name| stocks.get(name));
            stocks.fold(Share::default(), |share, stock| share.with(stock, stock.holders == 1))
        });
        let shares = shares.collect();
        let rest = stocks.values().filter(|stock| stock.holders == 0);
        Ok((shares, rest.fold(Share::default(), |share, stock| share.with(stock, true))))
    }

    /// The key and kind of every readable result.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn result_kinds(&self) -> Result<Vec<(ActionKey, String)>, StoreError> {
        let keys = self.names(Class::Results)?.into_iter().filter_map(|name| name.parse().ok());
        Ok(keys.filter_map(|key| Some((key, self.peek_result(&key)?.kind))).collect())
    }

    fn stocks(&self) -> Result<HashMap<Digest, Stock>, StoreError> {
        let mut stocks: HashMap<Digest, Stock> = HashMap::new();
        for item in self.items()? {
            let Some(digest) = item.digest else { continue };
            let stock = stocks.entry(digest).or_default();
            (stock.things, stock.bytes) = (stock.things + 1, stock.bytes + item.bytes);
            if item.class == Class::References
                && let Some(reference) = self.reference(&digest)?
            {
                stock.referenced_bytes = reference.size;
            }
        }
        Ok(stocks)
    }
}

impl Share {
    const fn with(self, stock: &Stock, is_alone: bool) -> Self {
        Self {
            things: self.things + stock.things,
            bytes: self.bytes + stock.bytes,
            alone_bytes: self.alone_bytes + if is_alone { stock.bytes } else { 0 },
            referenced_bytes: self.referenced_bytes + stock.referenced_bytes,
        }
    }
}
