"""Doctor: is this machine ready? Are these files valid?"""
