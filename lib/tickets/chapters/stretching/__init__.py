"""What a network of one depth or width has, laid out for another: of chapter 5, apart from its experiments."""
