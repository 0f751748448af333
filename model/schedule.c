/* schedule.c - see schedule.h */
#include <math.h>

#include "model/schedule.h"

float schedule_rate(float lr, uint64_t step, uint64_t warmup_steps, uint64_t total_steps, float floor)
{
	double t, share;

	if (step < warmup_steps)
		return (float)((double)lr * (double)step / (double)warmup_steps);
	if (!total_steps)
		return lr;
	if (step >= total_steps)
		return lr * floor;

	t = (double)(step - warmup_steps) / (double)(total_steps - warmup_steps);
	share = (1 + cos(M_PI * t)) / 2;
	return (float)(lr * (share > floor ? share : floor));
}
