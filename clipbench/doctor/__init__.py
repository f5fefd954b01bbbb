"""Doctor: is this machine ready?"""
