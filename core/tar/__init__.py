"""Reading tar streams that nobody vouches for: every length and number is bounded before it is believed."""
