"""Publisher: owns images, shares, accounts' standing, publish permissions and publications."""
