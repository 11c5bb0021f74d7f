//! The settings as the source of `common::config` has them: keys, types, and what their comments say.

use std::collections::BTreeMap;

use common::config::Config;
use syn::{Attribute, Expr, Fields, GenericArgument, Item, ItemStruct, Lit, Meta, PathArguments, Type};

use super::defaults::{self, Defaults};
use crate::tree;

/// Where they are.
const ROOT: &str = "common/src/config.rs";
const FOLDER: &str = "common/src/config/";

/// How a comment says that a setting is not upstream's.
const OURS: &str = "(ours)";

/// What is written for a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Time,
    Size,
    Number,
    Flag,
    Text,
    Secret,
    File,
    Texts,
    Table,
    Part,
    Choice(Vec<String>),
}

impl Kind {
    /// For the page.
    pub fn text(&self) -> String {
        match self {
            Self::Time => "a time".to_owned(),
            Self::Size => "a size".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Secret => "a secret".to_owned(),
            Self::File => "a file".to_owned(),
            Self::Texts => "a list".to_owned(),
            Self::Table => "a table of texts".to_owned(),
            Self::Part => "`0.9` or `90%`".to_owned(),
            Self::Choice(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The parts of its key, below `whisk`.
    pub key: Vec<String>,
    /// The same as Rust calls them.
    pub path: Vec<String>,
    pub kind: Kind,
    pub meaning: String,
    pub is_ours: bool,
}

impl Setting {
    /// Its name in the environment.
    pub fn variable(&self) -> String {
        let parts = self.key.iter().map(|part| camel(part));
        format!("CONFIG_whisk_{}", parts.collect::<Vec<_>>().join("_"))
    }

    /// What it is unless somebody says otherwise, for the page.
    pub fn default(&self, defaults: &Defaults) -> String {
        // It hides who signs in.
        if self.key == ["postgres", "url"] {
            return format!("`{}`", Config::default().postgres.url.0);
        }
        let Some(value) = defaults.get(&self.path) else { return "none".to_owned() };
        match (&self.kind, value.trim_matches('"')) {
            (_, "" | "[]" | "{}" | "none") => "none".to_owned(),
            (Kind::Time, value) => defaults::time(value),
            (Kind::Size, value) => defaults::size(value),
            (Kind::Choice(words), value) => {
                let letters = |word: &str| word.replace(['_', '/'], "");
                let same = |word: &&String| letters(word).eq_ignore_ascii_case(value);
                format!("`{}`", words.iter().find(same).unwrap_or_else(|| panic!("{value} of {words:?}")))
            }
            (_, value) => format!("`{value}`"),
        }
    }
}

/// All of them, in the order of the source.
pub fn settings() -> Vec<Setting> {
    let source = Source::read();
    let mut found = Vec::new();
    let top = Place { file: ROOT, name: "Config" };
    source.walk(&top, &[], &[], false, &mut found);
    found
}

/// What is declared, by file and name.
struct Source(BTreeMap<(String, String), Item>);

/// Where a type is named or declared.
struct Place<'a> {
    file: &'a str,
    name: &'a str,
}

impl Source {
    fn read() -> Self {
        let files = tree::rust_files().into_iter();
        let files = files.filter(|file| file.path == ROOT || file.path.starts_with(FOLDER));
        let mut items = BTreeMap::new();
        for file in files {
            let parsed = syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
            for item in parsed.items {
                let name = match &item {
                    Item::Struct(item) => item.ident.to_string(),
                    Item::Enum(item) => item.ident.to_string(),
                    _ => continue,
                };
                items.insert((file.path.clone(), name), item);
            }
        }
        Self(items)
    }

    /// The item of that name, of the same file if it has one.
    fn find(&self, place: &Place<'_>) -> Option<(&str, &Item)> {
        let here = self.0.get_key_value(&(place.file.to_owned(), place.name.to_owned()));
        let anywhere = || self.0.iter().find(|((_, name), _)| name == place.name);
        here.or_else(anywhere).map(|((file, _), item)| (file.as_str(), item))
    }

    fn walk(
        &self,
        place: &Place<'_>,
        key: &[String],
        path: &[String],
        is_ours: bool,
        found: &mut Vec<Setting>,
    ) {
        let Some((file, Item::Struct(item))) = self.find(place) else { panic!("no struct {}", place.name) };
        if let Some(wire) = serde_text(&item.attrs, "try_from") {
            return self.walk(&Place { file, name: &wire }, key, path, is_ours, found);
        }
        let is_ours = is_ours || comment(&item.attrs).contains(OURS);
        let Fields::Named(fields) = &item.fields else { panic!("{} has no named fields", place.name) };
        for field in &fields.named {
            let name = field.ident.as_ref().expect("it is named").to_string();
            let shown = serde_text(&field.attrs, "rename").unwrap_or_else(|| name.replace('_', "-"));
            let key = [key, &[shown]].concat();
            let path = [path, &[name]].concat();
            let said = comment(&field.attrs);
            let is_ours = is_ours || said.contains(OURS);
            match self.kind(file, &field.ty) {
                Some(kind) => {
                    found.push(Setting {
                        key,
                        path,
                        kind,
                        meaning: self.meaning(file, &field.ty, &said),
                        is_ours,
                    });
                }
                None => self.walk(&Place { file, name: &type_name(&field.ty) }, &key, &path, is_ours, found),
            }
        }
    }

    /// What is written for a value of that type; nothing if it is a group of settings.
    fn kind(&self, file: &str, of: &Type) -> Option<Kind> {
        let name = type_name(of);
        Some(match name.as_str() {
            "Duration" => Kind::Time,
            "ByteSize" => Kind::Size,
            "u16" | "u32" | "u64" | "usize" | "i64" => Kind::Number,
            "bool" => Kind::Flag,
            "String" => Kind::Text,
            "Password" | "Key" => Kind::Secret,
            "PathBuf" => Kind::File,
            "Vec" => Kind::Texts,
            "BTreeMap" => Kind::Table,
            "Fraction" => Kind::Part,
            _ => match self.find(&Place { file, name: &name }) {
                Some((file, Item::Struct(ItemStruct { fields: Fields::Unnamed(fields), .. }))) => {
                    let inner = fields.unnamed.first().expect("a wrapper holds a value");
                    return self.kind(file, &inner.ty);
                }
                Some((_, Item::Enum(item))) => {
                    let is_lower = serde_text(&item.attrs, "rename_all").as_deref() == Some("lowercase");
                    let word = |name: String| if is_lower { name.to_lowercase() } else { screaming(&name) };
                    let words = item.variants.iter().map(|variant| {
                        let own = serde_text(&variant.attrs, "rename");
                        own.unwrap_or_else(|| word(variant.ident.to_string()))
                    });
                    Kind::Choice(words.collect())
                }
                _ => return None,
            },
        })
    }

    /// What the comment says; where that is only the key, the comment of its type.
    fn meaning(&self, file: &str, of: &Type, said: &str) -> String {
        let plain =
            |text: &str| text.replace(OURS, "").replace(" ,", ",").replace(" .", ".").trim().to_owned();
        let without_key = |text: &str| {
            let rest = text.strip_prefix("`whisk.").and_then(|rest| rest.split_once('`'));
            let text = plain(rest.map_or(text, |(_, rest)| rest.trim_start_matches(':')));
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        };
        let own = without_key(said);
        if !own.is_empty() {
            return own;
        }
        let item = self.find(&Place { file, name: &type_name(of) });
        let attributes = item.map(|(_, item)| match item {
            Item::Struct(item) => comment(&item.attrs),
            Item::Enum(item) => comment(&item.attrs),
            _ => String::new(),
        });
        without_key(&attributes.unwrap_or_default())
    }
}

/// The comment of an item, as one line.
pub fn comment(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => text(&pair.value),
        _ => None,
    });
    lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A literal text.
pub fn text(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// The members of `#[name(…)]`.
pub fn members(attributes: &[Attribute], name: &str) -> Vec<Meta> {
    let own = attributes.iter().filter(|attribute| attribute.path().is_ident(name));
    let parse = |attribute: &Attribute| {
        let list = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
        attribute.parse_args_with(list).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    own.flat_map(parse).collect()
}

fn serde_text(attributes: &[Attribute], key: &str) -> Option<String> {
    members(attributes, "serde").iter().find_map(|member| match member {
        Meta::NameValue(pair) if pair.path.is_ident(key) => text(&pair.value),
        _ => None,
    })
}

/// The name of a type, or of what is optional.
pub fn type_name(of: &Type) -> String {
    let Type::Path(path) = of else { panic!("a setting is no path") };
    let last = path.path.segments.last().expect("a path has a segment");
    if last.ident == "Option"
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        // An optional list is a list.
        return type_name(inner);
    }
    last.ident.to_string()
}

fn camel(part: &str) -> String {
    let mut words = part.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, rest) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + rest
    })
}

/// `StoreAlways` as `STORE_ALWAYS`.
fn screaming(name: &str) -> String {
    name.chars().enumerate().fold(String::new(), |mut text, (n, c)| {
        if c.is_ascii_uppercase() && n > 0 {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
        text
    })
}
