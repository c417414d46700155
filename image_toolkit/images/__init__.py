"""Images: decode untrusted bytes, and render training images from them.

`decoding` is the only way from bytes to pixels; `rendering` makes training images. Below
`decoding`: `structure` and `image_header` bound the cost of a file before a decoder sees it,
`pixel_decoding` decodes, and `decoder_pool` runs whatever may be expensive in processes that can be
killed.
"""
