//! From values to the drivers' arguments and from their rows back to values: the only generic code over sqlx.

use std::sync::Arc;

use sqlx::database::HasStatementCache;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgRow;
use sqlx::query::Query;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    Arguments, AssertSqlSafe, Column, Decode, Executor, IntoArguments, Postgres, Row as _, Sqlite, TypeInfo,
    ValueRef,
};

use crate::row::NULL;
use crate::{Kind, Row, Sql, StoreError, Value};

/// What differs between the drivers once statements are portable.
pub(crate) trait Driver: sqlx::Database<Arguments: IntoArguments<Self>> + HasStatementCache {
    fn bind(arguments: &mut Self::Arguments, value: &Value) -> Result<(), BoxDynError>;
    fn cell(row: &Self::Row, index: usize) -> Result<Value, BoxDynError>;
    fn affected(result: &Self::QueryResult) -> u64;
}

pub(crate) async fn fetch_all<'c, DB: Driver>(
    connection: impl Executor<'c, Database = DB>,
    sql: Sql,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    let rows = statement::<DB>(sql, params)?.fetch_all(connection).await?;
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    let names = names::<DB>(first);
    rows.iter().map(|row| detach::<DB>(&names, row)).collect()
}

pub(crate) async fn fetch_optional<'c, DB: Driver>(
    connection: impl Executor<'c, Database = DB>,
    sql: Sql,
    params: &[Value],
) -> Result<Option<Row>, StoreError> {
    let row = statement::<DB>(sql, params)?.fetch_optional(connection).await?;
    row.map(|row| detach::<DB>(&names::<DB>(&row), &row)).transpose()
}

pub(crate) async fn execute<'c, DB: Driver>(
    connection: impl Executor<'c, Database = DB>,
    sql: Sql,
    params: &[Value],
) -> Result<u64, StoreError> {
    let result = statement::<DB>(sql, params)?.execute(connection).await?;
    Ok(DB::affected(&result))
}

fn statement<'q, DB: Driver>(sql: Sql, params: &[Value]) -> Result<Query<'q, DB, DB::Arguments>, StoreError> {
    let mut arguments = DB::Arguments::default();
    arguments.reserve(params.len(), 0);
    for value in params {
        value.check()?;
        DB::bind(&mut arguments, value).map_err(sqlx::Error::Encode)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(sql.text), arguments).persistent(sql.reusable))
}

fn names<DB: Driver>(row: &DB::Row) -> Arc<[String]> {
    row.columns().iter().map(|column| column.name().to_owned()).collect()
}

fn detach<DB: Driver>(names: &Arc<[String]>, row: &DB::Row) -> Result<Row, StoreError> {
    let cell = |(index, name): (usize, &String)| {
        DB::cell(row, index).map_err(|error| StoreError::decode(name, error.to_string()))
    };
    let cells = names.iter().enumerate().map(cell).collect::<Result<_, _>>()?;
    Ok(Row::new(Arc::clone(names), cells))
}

impl Driver for Sqlite {
    fn bind(arguments: &mut Self::Arguments, value: &Value) -> Result<(), BoxDynError> {
        match value {
            Value::Null(_) => arguments.add(None::<i64>),
            Value::Int(n) => arguments.add(*n),
            Value::Real(n) => arguments.add(*n),
            Value::Text(text) => arguments.add(text.as_str()),
            Value::Bytes(bytes) => arguments.add(bytes.as_slice()),
        }
    }

    fn cell(row: &SqliteRow, index: usize) -> Result<Value, BoxDynError> {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(NULL);
        }
        let kind = raw.type_info().into_owned();
        Ok(match kind.name() {
            "INTEGER" => Value::Int(Decode::<Self>::decode(raw)?),
            "REAL" => Value::Real(Decode::<Self>::decode(raw)?),
            "TEXT" => Value::Text(Decode::<Self>::decode(raw)?),
            "BLOB" => Value::Bytes(Decode::<Self>::decode(raw)?),
            other => return Err(unsupported(other)),
        })
    }

    fn affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }
}

impl Driver for Postgres {
    fn bind(arguments: &mut Self::Arguments, value: &Value) -> Result<(), BoxDynError> {
        match value {
            Value::Null(Kind::Int) => arguments.add(None::<i64>),
            Value::Null(Kind::Real) => arguments.add(None::<f64>),
            Value::Null(Kind::Text) => arguments.add(None::<&str>),
            Value::Null(Kind::Bytes) => arguments.add(None::<&[u8]>),
            Value::Int(n) => arguments.add(*n),
            Value::Real(n) => arguments.add(*n),
            Value::Text(text) => arguments.add(text.as_str()),
            Value::Bytes(bytes) => arguments.add(bytes.as_slice()),
        }
    }

    fn cell(row: &PgRow, index: usize) -> Result<Value, BoxDynError> {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(NULL);
        }
        let kind = raw.type_info().into_owned();
        Ok(match kind.name() {
            "INT8" | "INT4" | "INT2" => Value::Int(Decode::<Self>::decode(raw)?),
            "BOOL" => Value::Int(i64::from(<bool as Decode<Self>>::decode(raw)?)),
            "FLOAT8" => Value::Real(Decode::<Self>::decode(raw)?),
            "FLOAT4" => Value::Real(f64::from(<f32 as Decode<Self>>::decode(raw)?)),
            "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" => Value::Text(Decode::<Self>::decode(raw)?),
            "BYTEA" => Value::Bytes(Decode::<Self>::decode(raw)?),
            "VOID" => NULL,
            other => return Err(unsupported(other)),
        })
    }

    fn affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }
}

fn unsupported(kind: &str) -> BoxDynError {
    format!("type {kind} is not portable; cast it to TEXT, BIGINT, DOUBLE PRECISION or BYTEA").into()
}
