//! The least that a login needs, as statements for whoever owns the database; printed, never carried out.
//!
//! Only the owner of a table can publish it, so the owner makes the publication, and the login only reads it.

use super::address::Address;
use super::capture::publication_prefix;
use super::names::{TableName, identifier, literal};
use connect::component::Wanted;
use connect::{Error, Result, SiteSettings};

/// The statements for a site's login.
///
/// # Errors
/// `Invalid` when the url names no user, or a name is none of a table.
pub(super) fn statements(settings: &SiteSettings, wanted: &Wanted<'_>) -> Result<Vec<String>> {
    let address = Address::of(settings)?;
    let user = address.config.get_user().map(str::to_string).ok_or_else(|| {
        Error::invalid(format!("site {} names no user", settings.site))
            .fix("write the login into the url: postgres://LOGIN@host/database")
    })?;
    let database = address.config.get_dbname().unwrap_or(&user).to_string();
    let (role, base) = (identifier(&user), identifier(&database));
    let mut all =
        vec![format!("-- {}: run as the owner of the tables, in database {base}", settings.site)];
    let mut say = |statement: String| all.push(statement);
    say(format!("GRANT CONNECT ON DATABASE {base} TO {role};"));
    let read = tables(wanted.read)?;
    for schema in schemas(&read) {
        say(format!("GRANT USAGE ON SCHEMA {schema} TO {role};"));
    }
    for table in &read {
        say(format!("GRANT SELECT ON {} TO {role};", table.sql()));
    }
    if !wanted.captured.is_empty() {
        say(format!("ALTER ROLE {role} REPLICATION;"));
        say(publication(&settings.site, &tables(wanted.captured)?));
    }
    if !wanted.written.is_empty() {
        let written = tables(wanted.written)?;
        say(format!("CREATE SCHEMA IF NOT EXISTS _seamount AUTHORIZATION {role};"));
        for schema in schemas(&written) {
            say(format!(
                "GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; -- CREATE: where the tables are not made yet"
            ));
        }
        for table in &written {
            say(format!(
                "DO $seamount$ BEGIN IF to_regclass({}) IS NOT NULL THEN \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {role}; END IF; END $seamount$;",
                literal(&table.sql()),
                table.sql()
            ));
        }
    }
    Ok(all)
}

/// The publication's name ends with a number that only the database knows.
fn publication(site: &str, tables: &[TableName]) -> String {
    let list: Vec<String> = tables.iter().map(TableName::sql).collect();
    let make = format!(
        "CREATE PUBLICATION %I FOR TABLE {} WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)",
        list.join(", ").replace('%', "%%")
    );
    format!(
        "DO $seamount$ BEGIN EXECUTE format({}, {} || (SELECT oid FROM pg_database WHERE datname = current_database())); END $seamount$;",
        literal(&make),
        literal(&publication_prefix(site))
    )
}

fn tables(names: &[String]) -> Result<Vec<TableName>> {
    let mut all = names.iter().map(|name| TableName::parse(name)).collect::<Result<Vec<_>>>()?;
    all.sort();
    all.dedup();
    Ok(all)
}

fn schemas(tables: &[TableName]) -> Vec<String> {
    let mut all: Vec<String> = tables.iter().map(|table| identifier(&table.schema)).collect();
    all.dedup();
    all
}
