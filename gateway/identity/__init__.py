"""Who is calling? A credential, a certificate or an address in; a `Caller` or a refusal out.

Law: what is shown and wrong is refused, never passed to the next way of knowing a caller.
"""
