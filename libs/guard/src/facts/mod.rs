//! Hard facts in a sentence: numbers, dates, versions, names, and words that turn a statement round.

mod date;
mod entity;
mod numeral;
mod polarity;
mod quantity;
mod unit;

pub(crate) use entity::{Entity, entities};
pub(crate) use polarity::{
    Superlative, antonyms, has_opposite, is_negation, is_soft_negation, negations, superlative,
};
pub(crate) use quantity::{Kind as QuantityKind, Quantity, may_begin_quantity, quantities, quantities_among};
