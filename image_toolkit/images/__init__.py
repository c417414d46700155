"""Images: decoding untrusted bytes, and making training images of them."""
