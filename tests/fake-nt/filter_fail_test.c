/* SPDX-License-Identifier: Apache-2.0 */
/* The N-th thing that can fail does, for N = 1, 2, ... until nothing fails any more. */
#include "filter_fixture.h"

/* Whatever fails, each request has one result, data are right or refused, and nothing is left. */
static void use_everything(struct fixture *f) VCK_CAN_WAIT
{
    uint8_t *buffer = malloc(65536);
    struct filter *found;
    struct filter *second;

    if (fixture_bind(f) == VCK_OK) {
        NTSTATUS status = transfer_now(f, IRP_MJ_READ, 4096, buffer, 65536, NULL);

        if (NT_SUCCESS(status))
            assert_memory_equal(buffer, f->expected + 4096, 65536);
        (void)transfer_now(f, IRP_MJ_WRITE, 4096, f->expected + 4096, 65536, NULL);
        (void)simple_now(f, IRP_MJ_FLUSH_BUFFERS);
        (void)control_now(f, IOCTL_DISK_GET_LENGTH_INFO, buffer, 0, 8, NULL);
        fixture_unbind(f);
    }
    if (filter_attach_to(f->disk->device, &second) == VCK_OK)
        assert_int_equal(filter_detach(second), VCK_OK);
    if (filter_find(f->disk->device, &found) == VCK_OK)
        filter_release(found);
    free(buffer);
}

static void any_call_may_fail(void **state) VCK_CAN_WAIT
{
    bool has_failed = true;

    (void)state;
    for (uint64_t n = 1; has_failed; n++) {
        struct fixture f;

        fixture_begin(&f, NULL);
        fake_fail_nth(n);
        use_everything(&f);
        has_failed = fake_has_failed();
        fake_fail_nth(0);
        assert_int_equal(fixture_bind(&f), VCK_OK);
        check_all(&f);
        fixture_end(&f);
    }
}

static void any_allocation_may_fail(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint64_t n = 1; n < 200; n++) {
        struct fixture f;

        fixture_begin(&f, NULL);
        vck_alloc_fail_nth(n);
        use_everything(&f);
        vck_alloc_fail_nth(0);
        assert_int_equal(fixture_bind(&f), VCK_OK);
        check_all(&f);
        fixture_end(&f);
    }
}

/* Failed writes may leave either content, on one side of the boundary or the other. */
static void any_transfer_may_fail(void **state) VCK_CAN_WAIT
{
    bool has_failed = true;

    (void)state;
    for (int64_t n = 1; has_failed; n++) {
        struct fixture f;

        fixture_begin(&f, NULL);
        f.disk->is_async = n % 2 != 0;
        f.disk->fail_in = n;
        use_everything(&f);
        has_failed = f.disk->fail_in <= 0;
        f.disk->fail_in = 0;
        assert_int_equal(fixture_bind(&f), VCK_OK);
        check_all(&f);
        fixture_end(&f);
    }
}

/* A device starts, whatever becomes of its filter. */
static void devices_start_without_a_filter(void **state) VCK_CAN_WAIT
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct fixture f;

        fixture_begin(&f, NULL);
        fake_fail_nth(n);
        assert_int_equal(f.extension.AddDevice(&f.driver, f.disk->device), STATUS_SUCCESS);
        assert_true(fake_has_failed());
        fake_fail_nth(0);
        assert_int_equal(fake_live_devices(), 2);
        assert_int_equal(pnp_now(&f, IRP_MN_START_DEVICE), STATUS_SUCCESS);
        fixture_end(&f);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_may_fail),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(any_transfer_may_fail),
        cmocka_unit_test(devices_start_without_a_filter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
