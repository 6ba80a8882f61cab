"""Send it: the target and header laws, and an HTTP/1.1 transport made for forwarding."""
