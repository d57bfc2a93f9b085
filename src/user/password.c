/* password.c - what a new password must be like. */
#include "user/password.h"

#include "base/utf8.h"

err *password_check_policy(const struct password_policy *policy, struct arena *a, str password)
{
	bool digit = false, symbol = false, lower = false, upper = false;
	int64_t length = 0;
	uint32_t c;

	if (str_is_empty(password) || password.n > PASSWORD_MAX)
		return err_new(a, ERR_INVALID_PARAM, "A password has between 1 and %d bytes", (int)PASSWORD_MAX);
	if (!policy->enabled)
		return NULL;
	while (!str_is_empty(password)) {
		c = utf8_next(&password);
		length++;
		if (c >= '0' && c <= '9')
			digit = true;
		else if (c >= 'a' && c <= 'z')
			lower = true;
		else if (c >= 'A' && c <= 'Z')
			upper = true;
		else
			symbol = true;
	}
	if (length < policy->minimum_length)
		return err_new(a, ERR_WEAK_PASSWORD, "The password must have at least %" PRId64 " characters",
			       policy->minimum_length);
	if (policy->require_digit && !digit)
		return err_new(a, ERR_WEAK_PASSWORD, "The password must contain a digit");
	if (policy->require_symbol && !symbol)
		return err_new(a, ERR_WEAK_PASSWORD, "The password must contain a symbol");
	if (policy->require_lowercase && !lower)
		return err_new(a, ERR_WEAK_PASSWORD, "The password must contain a lower-case letter");
	if (policy->require_uppercase && !upper)
		return err_new(a, ERR_WEAK_PASSWORD, "The password must contain an upper-case letter");
	return NULL;
}
