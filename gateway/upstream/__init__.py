"""Send it: the rules for targets and headers, and an HTTP/1.1 transport made for forwarding."""
