//! What a modification does to a field that an object may lack.

/// A field of a modification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is this afterwards.
    Set(T),
    /// It is absent afterwards.
    Remove,
}

impl<T> Edit<T> {
    /// Asks for the field to be removed. True when it was asked to be set, too.
    pub fn remove(&mut self) -> bool {
        matches!(std::mem::replace(self, Self::Remove), Self::Set(_))
    }

    /// The value that is set, if one is.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Remove => None,
        }
    }
}

impl<T: Clone> Edit<T> {
    pub(super) fn apply(&self, place: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *place = Some(value.clone()),
            Self::Remove => *place = None,
        }
    }
}

impl<T> From<Option<T>> for Edit<T> {
    /// What is there is set, what is not stays.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

/// Exchanges a value that is always there, if there is a new one.
pub(super) fn replace<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}
