//! The derive macro of the kit. Its documentation is at the trait that it implements, `boxes::Event`.

mod event;

use proc_macro::TokenStream;

/// Implements `boxes::Event` for an enum whose variants are kinds of event.
///
/// The attributes `#[event(…)]` are described at the trait.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    event::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
