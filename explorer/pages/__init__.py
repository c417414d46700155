"""The pages, each a function of the site and a request."""
