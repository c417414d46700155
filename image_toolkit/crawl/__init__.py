"""Fetching untrusted URLs: fast, safe, and polite to the hosts.

Callers use `fetcher.Fetcher`. Below it, from the outside in: `frontier` (which URL is next, limits
per host), `robots` and `optouts` (what hosts permit), `urls`, `addresses` and `resolver` (which
URLs and addresses may be contacted), `transfer` and `multi` (one GET, by libcurl).
"""
