"""What several components share: images, fetching them, models of them, finding them."""
