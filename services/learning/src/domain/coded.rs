//! Enums that are stored and sent as numbers: one list per enum, so that the two directions cannot drift apart.

/// Declares an enum with a number per variant, `code()` and `from_code()`.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every variant, in order of its number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The number in the contract and in the database, from 1.
            pub const fn code(self) -> i32 {
                match self { $($name::$variant => $code,)+ }
            }

            /// The variant with this number; `None` for 0 and for numbers that are not known.
            pub const fn from_code(code: i32) -> Option<Self> {
                match code { $($code => Some($name::$variant),)+ _ => None }
            }
        }
    };
}
