//! Encrypted connections: by rustls, with the roots that the system trusts.

/// Chooses who does the cryptography of this process, unless its program has: with two in the tree, rustls takes neither.
pub(crate) fn choose_provider() {
    // Fails only where one was chosen before, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
}
