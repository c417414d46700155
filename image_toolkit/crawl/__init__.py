"""Fetching untrusted URLs: fast, safe, and polite to the hosts.

`fetcher.Fetcher` is what callers use. Below it, from the outside in: `frontier` (which URL is next,
limits per host), `robots` and `optouts` (what hosts allow), `urls`, `addresses` and `resolver`
(where a URL may lead), `transfer` and `multi` (one GET, by libcurl).
"""
