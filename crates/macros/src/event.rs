//! `#[derive(Event)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DataEnum, DeriveInput, Error, Fields, LitInt, LitStr, Meta, Path, Result,
    Token, Variant, parse_quote,
};

/// What `#[event(…)]` said, on the enum or on a variant.
#[derive(Default)]
struct Attributes {
    topic: Option<LitStr>,
    version: Option<LitInt>,
    aliases: Vec<LitStr>,
    upcasts: Vec<Path>,
    discards: bool,
    tolerant: bool,
    krate: Option<Path>,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(DataEnum { variants, .. }) = &input.data else {
        return Err(Error::new(
            input.span(),
            "`Event` is derived for an enum: one variant for each thing that can happen",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "an event has no type parameters: what is stored must have one type",
        ));
    }
    if variants.is_empty() {
        return Err(Error::new(
            input.span(),
            "an event needs at least one variant: something that can happen",
        ));
    }
    let on_enum = parse(&input.attrs)?;
    if let Some(version) = &on_enum.version {
        return Err(Error::new(
            version.span(),
            "`version` belongs on a variant: each kind of event has its own",
        ));
    }
    if on_enum.discards || !on_enum.aliases.is_empty() || !on_enum.upcasts.is_empty() {
        return Err(Error::new(
            input.span(),
            "`discards`, `alias` and `upcast` belong on a variant",
        ));
    }
    let krate = on_enum
        .krate
        .clone()
        .unwrap_or_else(|| parse_quote!(::boxes));

    let mut types = Vec::new();
    let mut arms = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        check_serde(variant)?;
        let attributes = parse(&variant.attrs)?;
        if let Some(path) = &attributes.krate {
            return Err(Error::new(path.span(), "`crate` belongs on the enum"));
        }
        let topic = topic(&on_enum, &attributes, variant, &input.ident)?;
        for name in
            std::iter::once(topic.value()).chain(attributes.aliases.iter().map(LitStr::value))
        {
            if seen.contains(&name) {
                return Err(Error::new(
                    variant.span(),
                    format!("the topic `{name}` is used twice in this enum"),
                ));
            }
            seen.push(name);
        }
        let number =
            u32::try_from(index).map_err(|_| Error::new(variant.span(), "too many variants"))?;
        check_upcasts(&attributes, variant)?;
        let version = attributes.version.map(|v| quote!(.with_version(#v)));
        let aliases = &attributes.aliases;
        let aliases = (!aliases.is_empty()).then(|| quote!(.with_aliases(&[#(#aliases),*])));
        let upcasts = &attributes.upcasts;
        let upcasts = (!upcasts.is_empty()).then(|| quote!(.with_upcasts(&[#(#upcasts),*])));
        let discards = attributes.discards.then(|| quote!(.discarding()));
        let is_tolerant = on_enum.tolerant || attributes.tolerant;
        let tolerant = is_tolerant.then(|| quote!(.tolerant()));
        types.push(
            quote!(#krate::EventType::new(#topic, #number) #version #aliases #upcasts #discards #tolerant),
        );
        let name = &variant.ident;
        arms.push(quote!(Self::#name { .. } => { const TYPE: &#krate::EventType = &<#krate::EventType>::new(#topic, #number) #version #aliases #upcasts #discards #tolerant; TYPE }));
    }
    let name = &input.ident;
    let kind = on_enum.topic.iter();
    let is_unit = variants
        .iter()
        .map(|variant| matches!(variant.fields, Fields::Unit));
    Ok(quote! {
        #[automatically_derived]
        impl #krate::Event for #name {
            const TYPES: &'static [#krate::EventType] = &[#(#types),*];
            #(const KIND: &'static str = #kind;)*

            fn event_type(&self) -> &'static #krate::EventType {
                match self { #(#arms)* }
            }

            #[allow(unused_imports, clippy::needless_borrow)]
            fn state_schemas() -> ::core::option::Option<::std::vec::Vec<#krate::state_schema::Value>> {
                use #krate::state_schema::{HasNone as _, HasSchema as _};
                (&#krate::state_schema::SchemaOf::<Self>::new(&[#(#is_unit),*])).state_schemas()
            }
        }
    })
}

fn topic(
    on_enum: &Attributes,
    on_variant: &Attributes,
    variant: &Variant,
    name: &syn::Ident,
) -> Result<LitStr> {
    if let Some(topic) = &on_variant.topic {
        return Ok(topic.clone());
    }
    let Some(prefix) = &on_enum.topic else {
        return Err(Error::new(
            name.span(),
            "events are stored under explicit topics: write #[event(topic = \"box.aggregate\")] on the enum, such as \"orders.order\"",
        ));
    };
    let topic = LitStr::new(
        &format!(
            "{}.{}",
            prefix.value(),
            snake_case(&variant.ident.unraw().to_string())
        ),
        variant.span(),
    );
    check_topic(&topic)?;
    Ok(topic)
}

/// The mapper tells serde which variant to read by its place in the enum. These attributes shift the places that
/// serde counts, so that an event would be read as another.
fn check_serde(variant: &Variant) -> Result<()> {
    for attribute in variant.attrs.iter().filter(|a| a.path().is_ident("serde")) {
        let Meta::List(list) = &attribute.meta else {
            continue;
        };
        let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        for part in &parts {
            if ["skip", "skip_deserializing", "other"]
                .iter()
                .any(|name| part.path().is_ident(name))
            {
                return Err(Error::new(
                    part.span(),
                    "events are read by their place in the order of the enum: no variant may be skipped, or stand for others",
                ));
            }
        }
    }
    Ok(())
}

fn parse(attributes: &[Attribute]) -> Result<Attributes> {
    let mut found = Attributes::default();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("topic") {
                let topic: LitStr = meta.value()?.parse()?;
                check_topic(&topic)?;
                found.topic = Some(topic);
            } else if meta.path.is_ident("alias") {
                let alias: LitStr = meta.value()?.parse()?;
                check_alias(&alias)?;
                found.aliases.push(alias);
            } else if meta.path.is_ident("version") {
                let version: LitInt = meta.value()?.parse()?;
                if version.base10_parse::<u32>()? == 0 {
                    return Err(Error::new(version.span(), "versions are counted from 1"));
                }
                found.version = Some(version);
            } else if meta.path.is_ident("upcast") {
                let steps;
                syn::parenthesized!(steps in meta.input);
                let steps = Punctuated::<Path, Token![,]>::parse_terminated(&steps)?;
                found.upcasts.extend(steps);
            } else if meta.path.is_ident("discards") {
                found.discards = true;
            } else if meta.path.is_ident("tolerant") {
                found.tolerant = true;
            } else if meta.path.is_ident("crate") {
                let path: LitStr = meta.value()?.parse()?;
                found.krate = Some(path.parse()?);
            } else {
                return Err(meta.error("unknown attribute: expected `topic`, `version`, `alias`, `upcast`, `discards`, `tolerant` or `crate`"));
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// The last step leads to the current version, and versions are counted from 1.
fn check_upcasts(attributes: &Attributes, variant: &Variant) -> Result<()> {
    let version = match &attributes.version {
        Some(version) => version.base10_parse::<usize>()?,
        None => 1,
    };
    let n_steps = attributes.upcasts.len();
    if n_steps >= version.max(1) && n_steps > 0 {
        return Err(Error::new(
            variant.span(),
            format!(
                "{n_steps} upcast steps do not lead to version {version}: there are at most {}, the last one to the current version",
                version.saturating_sub(1)
            ),
        ));
    }
    Ok(())
}

/// A topic goes into pages, headers and command lines as it is, so it is kept to characters that need no escaping there.
fn check_topic(topic: &LitStr) -> Result<()> {
    check(topic, &[])
}

/// An alias may be a topic of another system: the Python library's version 8 has `module#Class.Event`.
fn check_alias(alias: &LitStr) -> Result<()> {
    check(alias, &['#'])
}

fn check(topic: &LitStr, more: &[char]) -> Result<()> {
    let text = topic.value();
    let fits = |c: char| c.is_ascii_alphanumeric() || ".:-_".contains(c) || more.contains(&c);
    if text.is_empty() || text.len() > 200 || !text.chars().all(fits) {
        return Err(Error::new(
            topic.span(),
            "a topic has 1 to 200 ASCII letters, digits, dots, colons, hyphens and underscores; an alias may also have number signs",
        ));
    }
    Ok(())
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, character) in name.chars().enumerate() {
        if character.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(input: &str) -> String {
        expand(&syn::parse_str(input).unwrap())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_topic_is_the_prefix_and_the_variant_in_snake_case() {
        let code = expand(
            &syn::parse_str(
                "#[event(topic = \"a.b\")] enum E { AttributeChanged { x: u8 }, Ended }",
            )
            .unwrap(),
        )
        .unwrap()
        .to_string();
        assert!(
            code.contains("\"a.b.attribute_changed\"") && code.contains("\"a.b.ended\""),
            "{code}"
        );
    }

    #[test]
    fn what_is_wrong_is_said_at_compile_time() {
        assert!(error("enum E { A }").contains("#[event(topic"));
        assert!(error("struct S;").contains("an enum"));
        assert!(error("#[event(topic = \"a\")] enum E {}").contains("at least one variant"));
        assert!(error("#[event(topic = \"a\")] enum E<T> { A(T) }").contains("no type parameters"));
        assert!(error("#[event(topic = \"a b\")] enum E { A }").contains("a topic has"));
        assert!(
            error("#[event(topic = \"a\", colour = \"b\")] enum E { A }")
                .contains("unknown attribute")
        );
        assert!(
            error("#[event(topic = \"a\")] enum E { A, #[event(alias = \"a.a\")] B }")
                .contains("used twice")
        );
        assert!(
            error("#[event(topic = \"a\")] enum E { #[event(version = 0)] A }").contains("from 1")
        );
        let upcast = |attribute: &str| {
            error(&format!(
                "#[event(topic = \"a\")] enum E {{ #[event({attribute})] A }}"
            ))
        };
        assert!(upcast("upcast(f)").contains("1 upcast steps do not lead to version 1"));
        assert!(upcast("version = 2, upcast(f, g)").contains("at most 1"));
        assert!(error("#[event(topic = \"a\", upcast(f))] enum E { A }").contains("on a variant"));
        for skip in ["skip", "rename = \"b\", skip_deserializing", "other"] {
            let skipping = format!("#[event(topic = \"a\")] enum E {{ #[serde({skip})] A, B }}");
            assert!(error(&skipping).contains("in the order of the enum"));
        }
        assert!(error("#[event(topic = \"a\")] enum E { Größe }").contains("a topic has"));
        let long = format!("#[event(topic = \"{}\")] enum E {{ A }}", "a".repeat(199));
        assert!(error(&long).contains("a topic has"));
        assert!(
            error("#[event(topic = \"a\", version = 2)] enum E { A }").contains("on a variant")
        );
    }
}
