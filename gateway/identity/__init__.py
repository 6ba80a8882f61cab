"""Who is calling? A credential, a certificate or an address in; a `Caller` or a refusal out.

Rule: a credential that is shown and wrong is refused; no other way to know the caller is tried.
"""
