//! The flags of the programs, as their source has them.

use std::fmt::Write;

use syn::{Expr, Field, Fields, Item, Lit, Meta};

use super::source::{comment, members, text, type_name};
use crate::tree;

/// A heading, and where the flags under it are declared.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("`oxwhisk`", "standalone/src/args.rs", "Args"),
    ("`oxwhisk-controller` and `oxwhisk-invoker`", "common/src/node.rs", "NodeArgs"),
    ("`oxwhisk-controller` alone", "controller/src/args.rs", "Args"),
    ("`oxwhisk-invoker` alone", "invoker/src/args.rs", "Args"),
    ("`wskadmin`", "admin/src/main.rs", "Cli"),
];

/// Flags that several programs have among their own, and where they are declared.
const SHARED: [(&str, &str); 1] = [("TlsFlags", "common/src/tls/flags.rs")];

/// A default that the system decides.
const DATA_DIR: &str = "`$XDG_DATA_HOME/oxwhisk`, else `~/.local/share/oxwhisk`";

/// A table a program.
pub fn tables() -> String {
    let mut page = String::new();
    for (heading, file, name) in PROGRAMS {
        let _ = write!(page, "\n## Flags of {heading}\n\n| flag | variable | default | meaning |\n");
        page.push_str("| --- | --- | --- | --- |\n");
        let rows = rows(file, name);
        assert!(rows.len() > 1, "{file} has flags");
        for row in rows {
            let _ = writeln!(page, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    page
}

fn rows(file: &str, name: &str) -> Vec<[String; 4]> {
    let parsed = syn::parse_file(&tree::text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let item = parsed.items.into_iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == name => Some(item),
        _ => None,
    });
    let Some(Fields::Named(fields)) = item.map(|item| item.fields) else { panic!("{file} has no {name}") };
    let rows = fields.named.iter().flat_map(|field| {
        let shared = SHARED.iter().find(|(name, _)| *name == type_name(&field.ty));
        shared.map_or_else(|| row(field).into_iter().collect(), |(name, file)| rows(file, name))
    });
    rows.collect()
}

/// What is said of a flag; nothing of what is none.
fn row(field: &Field) -> Option<[String; 4]> {
    let members = members(&field.attrs, "arg");
    let has = |word: &str| members.iter().any(|member| member.path().is_ident(word));
    if !has("long") {
        return None;
    }
    let value = |word: &str| {
        members.iter().find_map(|member| match member {
            Meta::NameValue(pair) if pair.path.is_ident(word) => Some(&pair.value),
            _ => None,
        })
    };
    let flag = field.ident.as_ref().expect("it is named").to_string().replace('_', "-");
    let variable = value("env").and_then(text).map_or_else(String::new, |name| format!("`{name}`"));
    let said = comment(&field.attrs);
    let (meaning, told) = match said.split_once("[default: ") {
        Some((meaning, default)) => {
            (meaning.trim().to_owned(), Some(default.trim_end_matches(']').to_owned()))
        }
        None => (said, None),
    };
    let default = told.or_else(|| value("default_value").and_then(text).map(|text| format!("`{text}`")));
    let default = default.or_else(|| value("default_value_t").map(number));
    let default = default.or_else(|| value("default_value_os_t").map(|_| DATA_DIR.to_owned()));
    Some([format!("`--{flag}`"), variable, default.unwrap_or_default(), meaning])
}

fn number(value: &Expr) -> String {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => format!("`{number}`"),
            _ => panic!("a default is no number"),
        },
        _ => panic!("a default is no number"),
    }
}
