//! The SQL of the list.

use thought_diary::{
    Error,
    pg::{Database, Row, Statement},
    session::{SESSION_IS_ACTIVE, Session},
};

use crate::{
    conditional::Tagged,
    list_query::{Filter, ListQuery, Position, Sentiment},
};

/// Returns a part of the user's diaries, newest first.
///
/// # Errors
/// `token_revoked` when the session is not active.
pub async fn list(
    database: &Database,
    session: &Session,
    query: &ListQuery,
) -> Result<Tagged, Error> {
    let statement = match query.position {
        Position::Page(page) if query.filter == Filter::default() => session
            .statement(
                "-- entries::db::list::list()
                select list, etag(list) as etag
                from diary_page($session_id, $user_id, $page, $per_page) list",
            )
            .bind("page", page)
            .bind("per_page", query.per_page),
        _ => filtered(session, query),
    };
    let row = database.row(statement).await?.ok_or(Error::TokenRevoked)?;
    decode(&row)
}

fn decode(row: &Row) -> Result<Tagged, Error> {
    let list: Option<String> = row.get("list")?;
    Ok(Tagged {
        json: list.ok_or(Error::TokenRevoked)?,
        etag: row.get("etag")?,
    })
}

/// Builds the statement for a filter or a cursor from fixed pieces of SQL.
///
/// A cursor is a position in the index, so its cost does not grow with depth. A
/// page also counts all entries that meet the filter.
fn filtered(session: &Session, query: &ListQuery) -> Statement {
    let conditions = conditions(&query.filter);
    let after_cursor = match query.position {
        Position::Cursor(Some(_)) => {
            "and (entry.created_at, entry.id) <
                (timestamp 'epoch' + $cursor_time * interval '1 microsecond', $cursor_id)"
        }
        Position::Cursor(None) | Position::Page(_) => "",
    };
    let (end, tables) = match query.position {
        Position::Page(_) => (
            r#"',"page":', $page::bigint, ',"per_page":', $per_page, ',"total":', total,
                ',"pages":', (total + $per_page - 1) / $per_page"#,
            format!(
                "from (
                    select count(*) as total from thought_diaries entry
                    where user_id = $user_id {conditions}
                ) counted"
            ),
        ),
        Position::Cursor(_) => (
            r#"',"per_page":', $per_page, ',"next_cursor":', coalesce((
                select concat(
                    '"', to_hex((extract(epoch from created_at) * 1000000)::bigint), '-', to_hex(id), '"'
                )
                from listed
                where position = $per_page and (select count(*) from listed) > $per_page
            ), 'null')"#,
            String::new(),
        ),
    };
    let statement = session.statement(format!(
        r#"-- entries::db::list::filtered()
        with listed as materialized (
            select id, created_at, row_number() over (order by created_at desc, id desc) as position
            from (
                select id, created_at from thought_diaries entry
                where user_id = $user_id {conditions} {after_cursor}
                order by created_at desc, id desc
                limit $per_page::bigint + 1 offset $offset
            ) part
        )
        select list, etag(list) as etag from (
            select concat(
                '{{"items":[',
                (
                    select string_agg(diary_json(entry), ',' order by position)
                    from listed join thought_diaries entry using (id)
                    where position <= $per_page
                ),
                ']', {end}, '}}'
            ) as list
            {tables}
        ) built
        where {SESSION_IS_ACTIVE}"#
    ));
    let statement = bind_filter(statement, &query.filter)
        .bind("per_page", query.per_page)
        .bind(
            "offset",
            match query.position {
                Position::Page(page) => (page - 1) * query.per_page,
                Position::Cursor(_) => 0,
            },
        );
    match query.position {
        Position::Page(page) => statement.bind("page", page),
        Position::Cursor(None) => statement,
        Position::Cursor(Some(cursor)) => statement
            .bind("cursor_time", cursor.created_at as f64)
            .bind("cursor_id", cursor.id),
    }
}

fn conditions(filter: &Filter) -> String {
    let words = filter.words.as_ref().map(|_| {
        // A text of stop words only, such as 'the', has no terms and matches nothing.
        "and search_terms(entry.user_id, entry.content) @> search_terms($user_id, $words)
            and cardinality(search_terms($user_id, $words)) > 0"
    });
    let sentiment = filter.sentiment.map(|sentiment| match sentiment {
        Sentiment::Positive => "and entry.positive_count > entry.negative_count",
        Sentiment::Negative => "and entry.positive_count < entry.negative_count",
        Sentiment::Neutral => "and entry.positive_count = entry.negative_count",
    });
    let from = filter.from.map(|_| "and entry.created_at >= $from");
    let to = filter.to.map(|_| "and entry.created_at < $to");
    let conditions = [words, sentiment, from, to];
    conditions
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

fn bind_filter(statement: Statement, filter: &Filter) -> Statement {
    let statement = match &filter.words {
        Some(words) => statement.bind("words", words.as_str()),
        None => statement,
    };
    let statement = match filter.from {
        Some(from) => statement.bind("from", from),
        None => statement,
    };
    match filter.to {
        Some(to) => statement.bind("to", to),
        None => statement,
    }
}
