//! The double's store: collections of points, searched by looking at every one of them.
//!
//! It does what the server's documentation says of the parts that we use, and refuses the rest. Where the server promises
//! nothing, it does what is worst for us: points of equal score come in an order that has nothing to do with ours, and a
//! list ends in the middle of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{
    self as q, Condition, FieldCondition, Filter, PointId, PointStruct, QueryPoints, Range, Value, point_id,
};
use tonic::Status;

pub type Payload = HashMap<String, Value>;

#[derive(Clone)]
pub struct Point {
    pub payload: Payload,
    pub dense: HashMap<String, Vec<f32>>,
    pub sparse: HashMap<String, HashMap<u32, f32>>,
}

#[derive(Default)]
pub struct Collection {
    pub dense: BTreeMap<String, u64>,
    pub sparse: BTreeSet<String>,
    pub indexes: HashMap<String, bool>,
    pub points: BTreeMap<String, Point>,
}

#[derive(Default)]
pub struct Engine {
    pub collections: BTreeMap<String, Collection>,
    pub aliases: BTreeMap<String, String>,
}

pub fn refused(text: impl Into<String>) -> Status {
    Status::invalid_argument(text)
}

impl Engine {
    fn name<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    pub fn collection(&self, name: &str) -> Result<&Collection, Status> {
        let missing = || Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"));
        self.collections.get(self.name(name)).ok_or_else(missing)
    }

    pub fn collection_mut(&mut self, name: &str) -> Result<&mut Collection, Status> {
        let missing = || Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"));
        let own = self.name(name).to_owned();
        self.collections.get_mut(&own).ok_or_else(missing)
    }
}

pub fn id_text(id: Option<&PointId>) -> Result<String, Status> {
    match id.and_then(|id| id.point_id_options.as_ref()) {
        Some(point_id::PointIdOptions::Uuid(uuid)) if uuid.len() == 36 => Ok(uuid.clone()),
        Some(point_id::PointIdOptions::Uuid(uuid)) => Err(refused(format!("Unable to parse UUID: {uuid}"))),
        Some(point_id::PointIdOptions::Num(number)) => Ok(number.to_string()),
        None => Err(refused("a point without an id")),
    }
}

pub fn id_of(text: &str) -> PointId {
    PointId { point_id_options: Some(point_id::PointIdOptions::Uuid(text.to_owned())) }
}

impl Collection {
    /// All of them or none.
    pub fn upsert(&mut self, points: Vec<PointStruct>) -> Result<(), Status> {
        let read: Vec<(String, Point)> =
            points.into_iter().map(|point| self.read(point)).collect::<Result<_, _>>()?;
        self.points.extend(read);
        Ok(())
    }

    fn read(&self, point: PointStruct) -> Result<(String, Point), Status> {
        let id = id_text(point.id.as_ref())?;
        let (mut dense, mut sparse) = (HashMap::new(), HashMap::new());
        let named = match point.vectors.and_then(|vectors| vectors.vectors_options) {
            Some(q::vectors::VectorsOptions::Vectors(named)) => named.vectors,
            _ => return Err(refused("Wrong input: Not existing vector name error: ")),
        };
        for (name, vector) in named {
            match vector.vector {
                Some(q::vector::Vector::Dense(vector)) => {
                    self.fits(&name, vector.data.len())?;
                    dense.insert(name, vector.data);
                }
                Some(q::vector::Vector::Sparse(vector)) => {
                    let unique: HashSet<_> = vector.indices.iter().collect();
                    let sound = unique.len() == vector.values.len() && vector.indices.len() == unique.len();
                    if !self.sparse.contains(&name) || !sound {
                        return Err(refused(format!("Wrong input: sparse vector {name}")));
                    }
                    sparse.insert(name, vector.indices.into_iter().zip(vector.values).collect());
                }
                _ => return Err(refused("the double knows dense and sparse vectors")),
            }
        }
        Ok((id, Point { payload: point.payload, dense, sparse }))
    }

    fn fits(&self, name: &str, size: usize) -> Result<(), Status> {
        let Some(wanted) = self.dense.get(name) else {
            return Err(refused(format!("Wrong input: Not existing vector name error: {name}")));
        };
        if *wanted == size as u64 {
            return Ok(());
        }
        Err(refused(format!("Wrong input: Vector dimension error: expected dim: {wanted}, got {size}")))
    }

    pub fn matching(&self, filter: Option<&Filter>) -> Result<Vec<(&String, &Point)>, Status> {
        let mut found = Vec::new();
        for (id, point) in &self.points {
            if filter.map_or(Ok(true), |filter| holds(filter, id, &point.payload))? {
                found.push((id, point));
            }
        }
        Ok(found)
    }

    pub fn query(&self, query: &QueryPoints) -> Result<Vec<q::ScoredPoint>, Status> {
        let limit = query.limit.unwrap_or(10) as usize;
        let mut found = self.scored(query)?;
        // Equal scores: by the end of the id, backwards.
        let backwards = |id: &str| id.chars().rev().collect::<String>();
        found.sort_by(|(left, _, a), (right, _, b)| {
            b.total_cmp(a).then_with(|| Reverse(backwards(left)).cmp(&Reverse(backwards(right))))
        });
        found.truncate(limit);
        let shown = |(id, point, score): (&String, &Point, f32)| q::ScoredPoint {
            id: Some(id_of(id)),
            payload: chosen(&point.payload, query.with_payload.as_ref()),
            score,
            vectors: vectors(point, query.with_vectors.as_ref()),
            ..q::ScoredPoint::default()
        };
        Ok(found.into_iter().map(shown).collect())
    }

    fn scored(&self, query: &QueryPoints) -> Result<Vec<(&String, &Point, f32)>, Status> {
        let points = self.matching(query.filter.as_ref())?;
        let Some(variant) = query.query.as_ref().and_then(|query| query.variant.as_ref()) else {
            return Ok(points.into_iter().map(|(id, point)| (id, point, 0.0)).collect());
        };
        let q::query::Variant::Nearest(nearest) = variant else {
            return Err(refused("the double knows nearest neighbours"));
        };
        let using = query.using.clone().unwrap_or_default();
        match &nearest.variant {
            Some(q::vector_input::Variant::Dense(vector)) => {
                self.fits(&using, vector.data.len())?;
                let score = |point: &Point| {
                    let own = point.dense.get(&using)?;
                    Some(own.iter().zip(&vector.data).map(|(a, b)| a * b).sum::<f32>())
                };
                Ok(points.into_iter().filter_map(|(id, point)| Some((id, point, score(point)?))).collect())
            }
            Some(q::vector_input::Variant::Sparse(vector)) => {
                if !self.sparse.contains(&using) {
                    return Err(refused(format!("Wrong input: Not existing vector name error: {using}")));
                }
                let score = |point: &Point| {
                    let own = point.sparse.get(&using)?;
                    let pairs = vector.indices.iter().zip(&vector.values);
                    let both: Vec<f32> = pairs.filter_map(|(at, value)| Some(own.get(at)? * value)).collect();
                    (!both.is_empty()).then(|| both.iter().sum())
                };
                Ok(points.into_iter().filter_map(|(id, point)| Some((id, point, score(point)?))).collect())
            }
            _ => Err(refused("the double knows dense and sparse vectors")),
        }
    }
}

pub fn chosen(payload: &Payload, selector: Option<&q::WithPayloadSelector>) -> Payload {
    use q::with_payload_selector::SelectorOptions;
    match selector.and_then(|selector| selector.selector_options.as_ref()) {
        Some(SelectorOptions::Enable(true)) => payload.clone(),
        Some(SelectorOptions::Include(include)) => {
            let wanted = |key: &&String| payload.contains_key(*key);
            include.fields.iter().filter(wanted).map(|key| (key.clone(), payload[key].clone())).collect()
        }
        _ => Payload::new(),
    }
}

fn vectors(point: &Point, selector: Option<&q::WithVectorsSelector>) -> Option<q::VectorsOutput> {
    use q::with_vectors_selector::SelectorOptions;
    let names = match selector?.selector_options.as_ref()? {
        SelectorOptions::Include(include) => include.names.clone(),
        SelectorOptions::Enable(_) => return None,
    };
    let own = |name: String| {
        let dense = point.dense.get(&name).cloned();
        let sparse = point.sparse.get(&name).map(|own| own.iter().map(|(at, value)| (*at, *value)).unzip());
        let dense = dense.map(|data| q::vector_output::Vector::Dense(q::DenseVector { data }));
        let vector = dense.or_else(|| {
            let (indices, values) = sparse?;
            Some(q::vector_output::Vector::Sparse(q::SparseVector { values, indices }))
        });
        vector.map(|vector| (name, q::VectorOutput { vector: Some(vector), ..q::VectorOutput::default() }))
    };
    let vectors = names.into_iter().filter_map(own).collect();
    let named = q::NamedVectorsOutput { vectors };
    Some(q::VectorsOutput { vectors_options: Some(q::vectors_output::VectorsOptions::Vectors(named)) })
}

/// Whether a filter lets a payload through. An empty `should` asks for nothing.
pub fn holds(filter: &Filter, id: &str, payload: &Payload) -> Result<bool, Status> {
    if filter.min_should.is_some() {
        return Err(refused("the double does not know min_should"));
    }
    let all = |conditions: &[Condition]| -> Result<Vec<bool>, Status> {
        conditions.iter().map(|condition| passes(condition, id, payload)).collect()
    };
    let (must, should, never) = (all(&filter.must)?, all(&filter.should)?, all(&filter.must_not)?);
    Ok(must.iter().all(|held| *held)
        && (should.is_empty() || should.iter().any(|held| *held))
        && !never.iter().any(|held| *held))
}

fn passes(condition: &Condition, id: &str, payload: &Payload) -> Result<bool, Status> {
    match condition.condition_one_of.as_ref() {
        Some(ConditionOneOf::Field(field)) => field_passes(field, payload),
        Some(ConditionOneOf::Filter(filter)) => holds(filter, id, payload),
        Some(ConditionOneOf::HasId(ids)) => {
            let ids: Vec<String> =
                ids.has_id.iter().map(|own| id_text(Some(own))).collect::<Result<_, _>>()?;
            Ok(ids.iter().any(|own| own == id))
        }
        Some(ConditionOneOf::Nested(nested)) => {
            let filter = nested.filter.clone().unwrap_or_default();
            let mut any = false;
            for value in values(payload, &nested.key) {
                if let Some(Kind::StructValue(object)) = &value.kind {
                    any |= holds(&filter, id, &object.fields)?;
                }
            }
            Ok(any)
        }
        _ => Err(refused("the double does not know this condition")),
    }
}

/// What stands at a key: the elements of a list, or the value.
pub fn values<'a>(payload: &'a Payload, key: &str) -> Vec<&'a Value> {
    match payload.get(key) {
        Some(Value { kind: Some(Kind::ListValue(list)) }) => list.values.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    }
}

fn field_passes(field: &FieldCondition, payload: &Payload) -> Result<bool, Status> {
    let values = values(payload, &field.key);
    if let Some(range) = &field.range {
        return Ok(values.into_iter().filter_map(number).any(|number| in_range(range, number)));
    }
    let text = |value: &Value| match &value.kind {
        Some(Kind::StringValue(text)) => Some(text.clone()),
        _ => None,
    };
    let whole = |value: &Value| match value.kind {
        Some(Kind::IntegerValue(number)) => Some(number),
        _ => None,
    };
    let mut wholes = values.clone().into_iter().filter_map(whole);
    let mut texts = values.into_iter().filter_map(text);
    match field.r#match.as_ref().and_then(|one| one.match_value.as_ref()) {
        Some(MatchValue::Keyword(wanted)) => Ok(texts.any(|text| text == *wanted)),
        Some(MatchValue::Keywords(wanted)) => Ok(texts.any(|text| wanted.strings.contains(&text))),
        Some(MatchValue::Integer(wanted)) => Ok(wholes.any(|number| number == *wanted)),
        _ => Err(refused("the double knows keywords, whole numbers and ranges")),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value.kind {
        Some(Kind::DoubleValue(number)) => Some(number),
        Some(Kind::IntegerValue(number)) => Some(number as f64),
        _ => None,
    }
}

fn in_range(range: &Range, number: f64) -> bool {
    range.lt.is_none_or(|end| number < end)
        && range.lte.is_none_or(|end| number <= end)
        && range.gt.is_none_or(|end| number > end)
        && range.gte.is_none_or(|end| number >= end)
}
