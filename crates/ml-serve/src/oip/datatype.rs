//! The protocol's names of the types.

use ml_core::ElementType;

macro_rules! names {
    ($($element:ident $name:literal $config:literal;)*) => {
        /// Returns the type's name in requests, answers and metadata.
        pub(crate) fn name(element: ElementType) -> &'static str {
            match element { $(ElementType::$element => $name,)* }
        }

        /// Returns the type of that name.
        pub(crate) fn of_name(name: &str) -> Option<ElementType> {
            match name { $($name => Some(ElementType::$element),)* _ => None }
        }

        /// Returns the type's name in a model's configuration.
        pub(crate) fn config_name(element: ElementType) -> &'static str {
            match element { $(ElementType::$element => $config,)* }
        }
    };
}

names! {
    Bool "BOOL" "TYPE_BOOL";
    U8 "UINT8" "TYPE_UINT8";
    U16 "UINT16" "TYPE_UINT16";
    U32 "UINT32" "TYPE_UINT32";
    U64 "UINT64" "TYPE_UINT64";
    I8 "INT8" "TYPE_INT8";
    I16 "INT16" "TYPE_INT16";
    I32 "INT32" "TYPE_INT32";
    I64 "INT64" "TYPE_INT64";
    F16 "FP16" "TYPE_FP16";
    BF16 "BF16" "TYPE_BF16";
    F32 "FP32" "TYPE_FP32";
    F64 "FP64" "TYPE_FP64";
    String "BYTES" "TYPE_STRING";
}
